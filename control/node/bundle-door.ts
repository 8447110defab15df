/** Our trust bundle for whoever wants to recognise our workloads: one document, for everybody (SPIFFE Federation). */

import { createServer, type Server, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { bundleJson } from '../../ca/bundle.ts'
import type { TrustBundle } from '../../core/identity.ts'
import type { IdentitySource } from '../../core/ports.ts'
import { closeServer, type DoorLimits, doorApp, listen, serverTimes, type Unexpected } from './http.ts'
import { meshTls } from './mesh-tls.ts'

export interface BundleDoorParts {
  readonly bundle: () => TrustBundle
  /** DER. Default none is served. */
  readonly revocationList?: () => Uint8Array
  /** `https_spiffe`: our SVID, taken up anew with each change. `https_web`: a certificate of the Web PKI, PEM. */
  readonly as: { readonly identity: IdentitySource } | { readonly certificates: string; readonly key: string }
  readonly unexpected: Unexpected
}

export interface BundleDoor {
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

/** Never asks for a certificate: a bundle is for everybody (section 5.1). */
export async function openBundleDoor(
  parts: BundleDoorParts,
  options: DoorLimits & { readonly address?: string; readonly port?: number } = {},
): Promise<BundleDoor> {
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
  const open = (tls: ServerOptions): Server =>
    createServer(
      { ...tls, ...serverTimes(options), handshakeTimeout: options.requestMs ?? 10_000 },
      getRequestListener(app.fetch, { overrideGlobalObjects: false }),
    )
  const server = open(
    'identity' in as ? spiffeTls(as.identity) : { cert: as.certificates, key: as.key, minVersion: 'TLSv1.2' },
  )
  server.maxConnections = options.connections ?? 1024
  const unsubscribe =
    'identity' in as
      ? as.identity.subscribe(() => {
          try {
            server.setSecureContext(spiffeTls(as.identity))
          } catch (thrown) {
            parts.unexpected(thrown)
          }
        })
      : () => {}
  const address = options.address ?? '127.0.0.1'
  try {
    await listen(server, { address, port: options.port ?? 0 })
  } catch (thrown) {
    unsubscribe()
    throw thrown
  }
  return {
    address,
    port: (server.address() as AddressInfo).port,
    close: () => {
      unsubscribe()
      return closeServer(server)
    },
  }
}

/** As at the mesh door, but for what asks for a client's certificate; clients of the intermediate profile come by TLS 1.2. */
const spiffeTls = (identity: IdentitySource): ServerOptions => ({
  ...meshTls(identity.current()),
  minVersion: 'TLSv1.2',
  requestCert: false,
})
