/**
 * Every TLS option from one function for each side, so that a renewed context never falls back to a default: a
 * `setSecureContext` without `minVersion` would open TLS 1.2 again. Nothing here decides who a peer is; `Identify` does,
 * for a server alone and for a client after OpenSSL.
 */

import { constants } from 'node:crypto'
import type { ConnectionOptions, TlsOptions } from 'node:tls'
import type { IdentityState } from '../../core/identity.ts'

type Common = Pick<TlsOptions, 'cert' | 'key' | 'ca' | 'minVersion' | 'rejectUnauthorized' | 'secureOptions'>

/** What listeners can agree on, and what records say of it: TLS 1.3 with the ciphers that this Node's OpenSSL has for it. */
export const agreeable: { readonly min: 'TLSv1.3'; readonly ciphers: readonly string[] } = {
  min: 'TLSv1.3',
  ciphers: constants.defaultCipherList.split(':').filter((name) => name.startsWith('TLS_')),
}

function common({ svid, bundles }: IdentityState): Common {
  return {
    cert: svid.chain.map(pem).join(''),
    key: svid.keyPem,
    // Pooled: Node knows no roots per trust domain, so a peer that passes this has only begun to prove its name.
    ca: [...bundles.values()].flatMap(({ roots }) => roots.map(pem)),
    minVersion: agreeable.min,
    rejectUnauthorized: true,
    // A resumed session shows no certificate, however old the one is that it stands for.
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
}

const http: readonly string[] = ['h2', 'http/1.1']

/** Of a listener whose callers have found out what is spoken. */
export const either: readonly string[] = ['h2', 'http/1.1', 'writ-tcp']

/** What proxies agree on where bytes are passed as they come, so that neither takes the other's for HTTP. */
export const opaque: readonly string[] = ['writ-tcp']

/**
 * Once OpenSSL has verified a client, Node shows its leaf alone, without the issuers that came with it, and without them
 * no chain can be judged. So the server side gets no roots and lets every certificate through to `Identify`.
 */
export const serverTls = (state: IdentityState, protocols: readonly string[] = http): TlsOptions => ({
  ...common(state),
  ca: [],
  ALPNProtocols: [...protocols],
  requestCert: true,
  rejectUnauthorized: false,
})

/** `http2`: HTTP/2 is wanted, and HTTP/1.1 is better than nothing. */
export const clientTls = (state: IdentityState, http2 = false): ConnectionOptions => ({
  ...common(state),
  ALPNProtocols: http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
  // SPIFFE names are URIs, not hosts; the endpoint's id is compared after the handshake.
  checkServerIdentity: () => undefined,
})

/** To another proxy, for a connection that is passed as bytes. */
export const opaqueTls = (state: IdentityState): ConnectionOptions => ({
  ...clientTls(state),
  ALPNProtocols: [...opaque],
})

export function pem(der: Uint8Array): string {
  const text = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${text.replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`
}
