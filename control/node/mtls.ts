/** An HTTPS server for workloads: its own SVID, taken up anew with each change, and no resumption. */

import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { getRequestListener } from '@hono/node-server'
import type { IdentityState } from '../../core/identity.ts'
import type { IdentitySource } from '../../core/ports.ts'
import { closeServer, type DoorApp, type DoorLimits, listen, serverTimes, type Unexpected } from './http.ts'
import { meshTls } from './mesh-tls.ts'

export interface MtlsOptions extends DoorLimits {
  /** Default 127.0.0.1. */
  readonly address?: string
  /** Default: a free one. */
  readonly port?: number
}

export interface MtlsParts {
  readonly app: Pick<DoorApp, 'fetch'>
  /** This process's own SVID; each change of it is taken up by the next handshake. */
  readonly identity: IdentitySource
  /** Shown in its place: a certificate of the Web PKI, PEM. Others of a mesh verify an SVID, strangers a host name. */
  readonly web?: { readonly certificates: string; readonly key: string }
  readonly refused: (source: string, detail: string) => void
  readonly unexpected: Unexpected
}

export interface MtlsDoor {
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

export async function openMtlsDoor(parts: MtlsParts, options: MtlsOptions = {}): Promise<MtlsDoor> {
  const { web } = parts
  const tls = (state: IdentityState): TlsOptions => ({
    ...meshTls(state),
    ...(web && { cert: web.certificates, key: web.key, minVersion: 'TLSv1.2' }),
  })
  const server = createServer(
    { ...tls(parts.identity.current()), ...serverTimes(options), handshakeTimeout: options.requestMs ?? 10_000 },
    getRequestListener(parts.app.fetch as DoorApp['fetch'], { overrideGlobalObjects: false }),
  )
  server.maxConnections = options.connections ?? 4096
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.isSessionReused()) socket.destroy() // Its certificate would be a memory.
  })
  server.on('tlsClientError', (thrown: NodeJS.ErrnoException, socket: TLSSocket) => {
    parts.refused(socket.remoteAddress ?? '', thrown.code ?? '')
  })
  const unsubscribe = parts.identity.subscribe((state) => {
    try {
      server.setSecureContext(tls(state))
    } catch (thrown) {
      parts.unexpected(thrown) // The old certificate goes on serving until it ends.
    }
  })
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
