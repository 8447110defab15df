/**
 * The collector's own door: plain HTTP on loopback, for a TLS terminator with a public certificate to stand before.
 * Edge runtimes trust public certificates alone, and that of the mesh door has the mesh's own root and no host name, so
 * they cannot reach the collector there. The token is asked for at both doors, and this one is open only where the
 * operator asks for it.
 */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { WritError } from '../../core/fault.ts'
import { isLoopback } from '../../core/url.ts'
import { type CollectorParts, collectorRoutes } from './collector-routes.ts'
import { closeServer, type DoorLimits, listen, serverTimes } from './http.ts'

export interface CollectorDoorOptions extends DoorLimits {
  /** A loopback address: tokens would cross any other network in the clear. Default 127.0.0.1. */
  readonly address?: string
  /** Default: a free one. */
  readonly port?: number
}

export interface CollectorDoor {
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

/** Throws a WritError `config_invalid` for an address that is not loopback, `in_use` where somebody listens there. */
export async function openCollectorDoor(
  parts: CollectorParts,
  options: CollectorDoorOptions = {},
): Promise<CollectorDoor> {
  const { address = '127.0.0.1' } = options
  if (!isLoopback(address)) {
    throw new WritError('config_invalid', `the collector's door cannot be at ${address}: it speaks plain HTTP`, {
      cure: 'let it listen on 127.0.0.1, and put a TLS terminator before it',
    })
  }
  const server = createServer(
    serverTimes(options),
    getRequestListener(collectorRoutes(parts).fetch, { overrideGlobalObjects: false }),
  )
  server.maxConnections = options.connections ?? 1024
  await listen(server, { address, port: options.port ?? 0 })
  return { address, port: (server.address() as AddressInfo).port, close: () => closeServer(server) }
}
