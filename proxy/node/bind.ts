/** Where a listener listens: a port, or a Unix socket that nobody else may open. */

import { chmod, unlink } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Bind } from '../../core/snapshot.ts'

/** Throws a WritError: `in_use`, or `unavailable`. */
export async function listen(server: Server, bind: Bind, reusePort: boolean): Promise<void> {
  try {
    await bound(server, bind, reusePort)
  } catch (thrown) {
    // A socket file that nobody listens on is what a killed process left behind.
    if (bind.kind !== 'unix' || !isInUse(thrown) || (await answers(bind.path))) throw cannotListen(bind, thrown)
    await unlink(bind.path)
    await bound(server, bind, reusePort)
  }
  if (bind.kind === 'unix') await chmod(bind.path, 0o600)
}

function bound(server: Server, bind: Bind, reusePort: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const done = (): void => {
      server.off('error', reject)
      resolve()
    }
    if (bind.kind === 'tcp') server.listen({ host: bind.address, port: bind.port, reusePort }, done)
    else {
      const before = process.umask(0o177) // The file must not be open to others even for a moment.
      server.listen({ path: bind.path }, done)
      process.umask(before)
    }
  })
}

const isInUse = (thrown: unknown): boolean => (thrown as NodeJS.ErrnoException).code === 'EADDRINUSE'

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path })
    probe.on('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.on('error', () => resolve(false))
  })
}

function cannotListen(bind: Bind, cause: unknown): WritError {
  const where = bind.kind === 'tcp' ? `${bind.address}:${bind.port}` : bind.path
  return new WritError(isInUse(cause) ? 'in_use' : 'unavailable', `cannot listen on ${where}: ${messageOf(cause)}`, {
    cure: 'stop whoever listens there, or give the listener another address',
    cause,
  })
}
