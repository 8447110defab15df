/** A certificate request (PKCS#10, RFC 2986): here it proves possession of a key, and nothing else in it counts. */

import { type KeyKind, keyKindOf, type ReadAlgorithm, readAlgorithm } from './algorithms.ts'
import { attempt, bitStringBytes, malformed, readDer, smallInteger, tags, walk } from './der.ts'

export interface CertificateRequest {
  /** What the signature is over. */
  readonly info: Uint8Array
  readonly spki: Uint8Array
  readonly key: KeyKind | undefined
  readonly algorithm: ReadAlgorithm
  readonly signature: Uint8Array
}

export function parseCsr(der: Uint8Array): { readonly request: CertificateRequest } | { readonly wrong: string } {
  const read = attempt(() => readCsr(der))
  return 'value' in read ? { request: read.value } : read
}

function readCsr(bytes: Uint8Array): CertificateRequest {
  const whole = walk(readDer(bytes), tags.sequence, 'certificate request')
  const info = whole.take(tags.sequence, 'request information')
  const algorithm = readAlgorithm(whole.take(tags.sequence, 'signature algorithm'))
  const signature = bitStringBytes(whole.take(tags.bitString, 'signature'), 'signature')
  whole.end('certificate request')

  const parts = walk(info, tags.sequence, 'request information')
  if (smallInteger(parts.take(tags.integer, 'version'), 'version') !== 0) throw malformed('not version 1')
  parts.take(tags.sequence, 'subject')
  const spki = parts.take(tags.sequence, 'public key')
  parts.take(0xa0, 'attributes')
  parts.end('request information')
  return { info: info.whole, spki: spki.whole, key: keyKindOf(spki), algorithm, signature }
}
