/** Our trust bundle for whoever wants to recognise our workloads: one document, for everybody (SPIFFE Federation). */

import type { ServerOptions } from 'node:https'
import { bundleJson } from '../../ca/bundle.ts'
import type { IdentityState, TrustBundle } from '../../core/identity.ts'
import type { IdentitySource } from '../../core/ports.ts'
import { doorApp, type Unexpected } from './http.ts'
import { meshTls } from './mesh-tls.ts'
import { type Door, type DoorOptions, followIdentity, openDoor, tlsServer } from './open-door.ts'

export interface BundleDoorParts {
  readonly bundle: () => TrustBundle
  /** DER. Default none is served. */
  readonly revocationList?: () => Uint8Array
  /** `https_spiffe`: our SVID, taken up anew with each change. `https_web`: a certificate of the Web PKI, PEM. */
  readonly as: { readonly identity: IdentitySource } | { readonly certificates: string; readonly key: string }
  readonly unexpected: Unexpected
}

/** Never asks for a certificate: a bundle is for everybody (section 5.1). */
export async function openBundleDoor(parts: BundleDoorParts, options: DoorOptions = {}): Promise<Door> {
  const app = doorApp(parts.unexpected)
  app.get('/', (c) => {
    const { refreshHintS = 300 } = parts.bundle()
    return c.json(bundleJson(parts.bundle()) as object, 200, {
      'cache-control': `max-age=${Math.min(refreshHintS, 60)}`,
    })
  })
  const list = parts.revocationList
  if (list) {
    app.get('/crl', (c) => {
      const headers = { 'content-type': 'application/pkix-crl', 'cache-control': 'max-age=60' } // RFC 2585 section 4.2.
      return c.body(new Uint8Array(list()), 200, headers)
    })
  }
  const { as } = parts
  if (!('identity' in as)) {
    const tls = { ...intermediate, cert: as.certificates, key: as.key }
    return openDoor(tlsServer(app, tls, options, 1024), options)
  }
  const server = tlsServer(app, spiffeTls(as.identity.current()), options, 1024)
  return openDoor(server, options, followIdentity(server, as.identity, spiffeTls, parts.unexpected))
}

/**
 * Mozilla's intermediate profile, which Federation section 5 demands (guidelines 5.7): TLS 1.2 with forward secrecy and
 * authenticated encryption alone, without the DHE for which it wants parameters of one's own, and TLS 1.3.
 */
const intermediate = {
  minVersion: 'TLSv1.2',
  ciphers: [
    ...['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
    ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
    ...['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
  ].join(':'),
} as const

/** As at the mesh door, but for what asks for a client's certificate. */
const spiffeTls = (state: IdentityState): ServerOptions => ({
  ...meshTls(state),
  ...intermediate,
  requestCert: false,
})
