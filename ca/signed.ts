/** What certificates, revocation lists and requests are alike: content, an algorithm, a signature (RFC 5280 section 4.1.1). */

import { equalBytes } from '../core/bytes.ts'
import { fits, type KeyKind, type ReadAlgorithm, readAlgorithm, type VerifySignature } from './algorithms.ts'
import { bitStringBytes, malformed, readDer, tags, type Walk, walk } from './der.ts'

export interface Signed {
  /** What the signature is over. */
  readonly tbs: Uint8Array
  readonly algorithm: ReadAlgorithm
  readonly signature: Uint8Array
}

export interface SignedParts {
  readonly signed: Signed
  /** What stands in the content. */
  readonly parts: Walk
  /** Takes the algorithm that the content names once more (RFC 5280 section 4.1.1.2). */
  innerAlgorithm(): void
}

/** Throws `certificate_invalid`. */
export function readSigned(bytes: Uint8Array, what: string): SignedParts {
  const whole = walk(readDer(bytes), tags.sequence, what)
  const tbs = whole.take(tags.sequence, 'to-be-signed part')
  const algorithm = whole.take(tags.sequence, 'signature algorithm')
  const signature = bitStringBytes(whole.take(tags.bitString, 'signature'), 'signature')
  whole.end(what)
  const parts = walk(tbs, tags.sequence, 'to-be-signed part')
  return {
    signed: { tbs: tbs.whole, algorithm: readAlgorithm(algorithm), signature },
    parts,
    innerAlgorithm() {
      const inner = parts.take(tags.sequence, 'inner signature algorithm')
      if (!equalBytes(inner.whole, algorithm.whole)) throw malformed('two different signature algorithms')
    },
  }
}

/** Did this key sign it, by an algorithm that counts and is of the key's kind? */
export function isSignedBy(
  { tbs, algorithm: { name }, signature }: Signed,
  { spki, key }: { readonly spki: Uint8Array; readonly key: KeyKind | undefined },
  verify: VerifySignature,
): boolean {
  return (
    name !== undefined &&
    key !== undefined &&
    fits(name, key) &&
    verify({ algorithm: name, spki, signed: tbs, signature })
  )
}
