/** The mesh's door: mTLS for workloads. Read mesh-routes.ts for what it answers. */

import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { getRequestListener } from '@hono/node-server'
import type { IdentitySource } from '../../core/ports.ts'
import { closeServer, type DoorLimits, listen, serverTimes } from './http.ts'
import { type MeshRouteParts, meshRoutes } from './mesh-routes.ts'
import { meshTls } from './mesh-tls.ts'

export interface MeshDoorParts extends MeshRouteParts {
  /** This process's own SVID; each change of it is taken up by the next handshake. */
  readonly identity: IdentitySource
}

export interface MeshDoorOptions extends DoorLimits {
  /** Default 127.0.0.1. */
  readonly address?: string
  /** Default: a free one. */
  readonly port?: number
}

export interface MeshDoor {
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

export async function openMeshDoor(parts: MeshDoorParts, options: MeshDoorOptions = {}): Promise<MeshDoor> {
  const closing = new AbortController()
  const app = meshRoutes(parts, closing.signal)
  const server = createServer(
    { ...meshTls(parts.identity.current()), ...serverTimes(options), handshakeTimeout: options.requestMs ?? 10_000 },
    getRequestListener(app.fetch, { overrideGlobalObjects: false }),
  )
  server.maxConnections = options.connections ?? 4096
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.isSessionReused()) socket.destroy() // Its certificate would be a memory.
  })
  server.on('tlsClientError', (thrown: NodeJS.ErrnoException, socket: TLSSocket) => {
    const source = socket.remoteAddress ?? ''
    parts.sink.refused({ listener: 'control/mesh', source, code: 'handshake_failed', detail: thrown.code ?? '' })
  })
  const unsubscribe = parts.identity.subscribe((state) => {
    try {
      server.setSecureContext(meshTls(state))
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
      closing.abort()
      return closeServer(server)
    },
  }
}
