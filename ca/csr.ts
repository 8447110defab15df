/** A certificate request (PKCS#10, RFC 2986): here it proves possession of a key, and nothing else in it counts. */

import { algorithmOfKey, isOwnKind, type KeyKind, keyKindOf, type VerifySignature } from './algorithms.ts'
import { attempt, malformed, smallInteger, tags } from './der.ts'
import { isSignedBy, readSigned, type Signed } from './signed.ts'

export interface CertificateRequest extends Signed {
  readonly spki: Uint8Array
  readonly key: KeyKind | undefined
}

export function parseCsr(der: Uint8Array): { readonly request: CertificateRequest } | { readonly wrong: string } {
  const read = attempt(() => readCsr(der))
  return 'value' in read ? { request: read.value } : read
}

function readCsr(bytes: Uint8Array): CertificateRequest {
  const { signed, parts } = readSigned(bytes, 'certificate request')
  if (smallInteger(parts.take(tags.integer, 'version'), 'version') !== 0) throw malformed('not version 1')
  parts.take(tags.sequence, 'subject')
  const spki = parts.take(tags.sequence, 'public key')
  parts.take(0xa0, 'attributes')
  parts.end('request information')
  return { ...signed, spki: spki.whole, key: keyKindOf(spki) }
}

/** The key of a request, where it is of a kind that gets certificates and signed the request by that kind's algorithm. */
export function provenKey(
  der: Uint8Array,
  verify: VerifySignature,
): { readonly spki: Uint8Array } | { readonly wrong: string } {
  const read = parseCsr(der)
  if ('wrong' in read) return { wrong: `a bad certificate request: ${read.wrong}` }
  const { spki, key, algorithm } = read.request
  if (!isOwnKind(key)) return { wrong: 'a certificate request for a key that is not P-256, P-384 or Ed25519' }
  if (algorithm.name !== algorithmOfKey[key]) {
    return { wrong: `a certificate request that is not signed by ${algorithmOfKey[key]}` }
  }
  const own = isSignedBy(read.request, read.request, verify)
  return own ? { spki } : { wrong: 'a certificate request that its own key did not sign' }
}
