/** TLS of the mesh door: one function makes all its options, since Node forgets whatever a reload does not repeat. */

import { constants } from 'node:crypto'
import type { TlsOptions } from 'node:tls'
import { toBase64 } from '../../core/bytes.ts'
import type { IdentityState } from '../../core/identity.ts'

/**
 * A certificate is asked for but not demanded, since a workload that joins has none yet; who the peer is, is for
 * `Identify` alone. No tickets: a resumed connection would bring back an identity that nobody proved again.
 */
export function meshTls({ svid }: IdentityState): TlsOptions {
  return {
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false,
    secureOptions: constants.SSL_OP_NO_TICKET,
    ALPNProtocols: ['http/1.1'],
    cert: svid.chain.map(pem).join(''),
    key: svid.keyPem,
    // No roots: once OpenSSL has verified a client, Node shows its leaf alone, without the issuers that came with it.
    ca: [],
  }
}

function pem(der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
