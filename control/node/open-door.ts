/** What doors on a port have in common: a server over TLS that follows its identity, where it listens, and its end. */

import type { Server } from 'node:http'
import { createServer, type ServerOptions, type Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { IdentityState } from '../../core/identity.ts'
import type { IdentitySource } from '../../core/ports.ts'
import { closeServer, type DoorApp, type DoorLimits, listen, serverTimes, type Unexpected } from './http.ts'

export interface DoorOptions extends DoorLimits {
  /** Default 127.0.0.1. */
  readonly address?: string
  /** Default: a free one. */
  readonly port?: number
}

export interface Door {
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

/** `connections`: default most of them. */
export function tlsServer(
  app: Pick<DoorApp, 'fetch'>,
  tls: ServerOptions,
  options: DoorOptions,
  connections: number,
): TlsServer {
  const server = createServer(
    { ...tls, ...serverTimes(options), handshakeTimeout: options.requestMs ?? 10_000 },
    getRequestListener(app.fetch as DoorApp['fetch'], { overrideGlobalObjects: false }),
  )
  server.maxConnections = options.connections ?? connections
  return server
}

/** Each change is taken up by the next handshake; the old certificate goes on serving where the new one cannot be. */
export const followIdentity = (
  server: TlsServer,
  identity: IdentitySource,
  tlsOf: (state: IdentityState) => ServerOptions,
  unexpected: Unexpected,
): (() => void) =>
  identity.subscribe((state) => {
    try {
      server.setSecureContext(tlsOf(state))
    } catch (thrown) {
      unexpected(thrown)
    }
  })

/** Rejects as `listen` does. `ended`: called once it is closed, or could not be opened. */
export async function openDoor(
  server: Server | TlsServer,
  { address = '127.0.0.1', port = 0 }: Pick<DoorOptions, 'address' | 'port'>,
  ended: () => void = () => {},
): Promise<Door> {
  try {
    await listen(server, { address, port })
  } catch (thrown) {
    ended()
    throw thrown
  }
  return {
    address,
    port: (server.address() as AddressInfo).port,
    close: () => {
      ended()
      return closeServer(server)
    },
  }
}
