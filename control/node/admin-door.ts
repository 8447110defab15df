/** The operator's door: HTTP over a Unix socket that only the owner of the state folder can open. */

import { chmodSync, lstatSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { WritError } from '../../core/fault.ts'
import { type AdminParts, adminRoutes } from './admin-routes.ts'
import { closeServer, type DoorApp, type DoorLimits, listen, serverTimes } from './http.ts'

export interface AdminDoor {
  readonly socketPath: string
  close(): Promise<void>
}

export const openAdminDoor = (socketPath: string, parts: AdminParts, limits: DoorLimits = {}): Promise<AdminDoor> =>
  openSocketDoor(socketPath, adminRoutes(parts), limits)

/** Throws a WritError `in_use` where somebody listens there already, `forbidden` where the folder is open to others. */
export async function openSocketDoor(socketPath: string, app: DoorApp, limits: DoorLimits = {}): Promise<AdminDoor> {
  const folder = dirname(socketPath)
  if ((lstatSync(folder).mode & 0o077) !== 0) {
    throw new WritError('forbidden', `${folder} is open to others, and so would be its socket`, {
      cure: `chmod 700 ${folder}`,
    })
  }
  await removeStale(socketPath)
  const server = createServer(serverTimes(limits), getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  server.maxConnections = limits.connections ?? 256
  await listen(server, socketPath)
  chmodSync(socketPath, 0o600) // Until here the folder's own mode kept others out.
  return { socketPath, close: () => closeServer(server) }
}

/** A socket file outlives a crash; one that nobody answers is removed. */
async function removeStale(socketPath: string): Promise<void> {
  const found = lstatSync(socketPath, { throwIfNoEntry: false })
  if (!found) return
  if (!found.isSocket()) {
    throw new WritError('in_use', `${socketPath} is not a socket`, { cure: 'remove the file' })
  }
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(socketPath)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (answered) {
    throw new WritError('in_use', `another process listens on ${socketPath}`, {
      cure: 'stop it, or use another folder',
    })
  }
  rmSync(socketPath)
}
