/** DER as text and back (RFC 7468). */

import { fromBase64, toBase64 } from '../core/bytes.ts'

export function pemOf(der: Uint8Array, label: 'CERTIFICATE' | 'CERTIFICATE REQUEST'): string {
  const lines = toBase64(der).replace(/.{1,64}/g, '$&\n')
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`
}

/** Every certificate in the text, in order; a block that is not base64 is left out. */
export const certificatesOf = (pem: string): readonly Uint8Array[] => blocksOf(pem, 'CERTIFICATE')

/** Every revocation list in the text, in order; a block that is not base64 is left out. */
export const revocationListsOf = (pem: string): readonly Uint8Array[] => blocksOf(pem, 'X509 CRL')

/** The first certificate request in the text. */
export const requestOf = (pem: string): Uint8Array | undefined => blocksOf(pem, 'CERTIFICATE REQUEST')[0]

function blocksOf(pem: string, label: string): readonly Uint8Array[] {
  const blocks = pem.matchAll(new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, 'g'))
  return [...blocks].flatMap((block) => fromBase64(block[1]!.replace(/\s/g, '')) ?? [])
}

/** The first PKCS#8 private key in the text. */
export const keyOf = (pem: string): string | undefined =>
  /-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END PRIVATE KEY-----/.exec(pem)?.[0]
