/**
 * The collector's own door: plain HTTP on loopback, for a TLS terminator with a public certificate to stand before.
 * Edge runtimes trust public certificates alone, and that of the mesh door has the mesh's own root and no host name, so
 * they cannot reach the collector there. The token is asked for at both doors, and this one is open only where the
 * operator asks for it.
 */

import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { WritError } from '../../core/fault.ts'
import { isLoopback } from '../../core/url.ts'
import { type CollectorParts, collectorRoutes } from './collector-routes.ts'
import { serverTimes } from './http.ts'
import { type Door, type DoorOptions, openDoor } from './open-door.ts'

/**
 * At a loopback address alone: tokens would cross any other network in the clear. Throws a WritError `config_invalid` for
 * another one, `in_use` where somebody listens there.
 */
export async function openCollectorDoor(parts: CollectorParts, options: DoorOptions = {}): Promise<Door> {
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
  return openDoor(server, options)
}
