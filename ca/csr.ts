/** A certificate request (PKCS#10, RFC 2986): here it proves possession of a key, and nothing else in it counts. */

import { type KeyKind, keyKindOf } from './algorithms.ts'
import { attempt, malformed, smallInteger, tags } from './der.ts'
import { readSigned, type Signed } from './signed.ts'

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
