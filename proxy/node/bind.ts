/** Where a listener listens: a port, or a Unix socket that nobody else may open. */

import { once } from 'node:events'
import { chmod, unlink } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Bind } from '../../core/snapshot.ts'

/** `fd`: a socket that listens there already. Throws a WritError: `in_use`, `unavailable`, or `config_invalid` for another socket. */
export async function listen(server: Server, bind: Bind, reusePort: boolean, fd?: number): Promise<void> {
  if (fd !== undefined) return listenOn(server, bind, fd)
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

async function listenOn(server: Server, bind: Bind, fd: number): Promise<void> {
  try {
    server.listen({ fd })
    await once(server, 'listening')
  } catch (thrown) {
    throw cannotListen(bind, thrown)
  }
  const at = server.address()
  const same = bind.kind === 'tcp' && typeof at === 'object' && at?.address === bind.address && at.port === bind.port
  if (same) return
  server.close()
  const where = typeof at === 'object' ? `${at?.address}:${at?.port}` : at
  throw new WritError('config_invalid', `the socket that was passed on is at ${where}, not at ${placeOf(bind)}`, {
    cure: 'open it where the mesh file says',
  })
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

const placeOf = (bind: Bind): string => (bind.kind === 'tcp' ? `${bind.address}:${bind.port}` : bind.path)

function cannotListen(bind: Bind, cause: unknown): WritError {
  return new WritError(
    isInUse(cause) ? 'in_use' : 'unavailable',
    `cannot listen on ${placeOf(bind)}: ${messageOf(cause)}`,
    {
      cure: 'stop whoever listens there, or give the listener another address',
      cause,
    },
  )
}
