/** PostgreSQL from the system's binaries, in a folder of its own: loopback only, with a password. */

import { chmod, mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Child, run, startChild } from './child.ts'
import { findProgram, installDebian, isThere } from './find.ts'
import { type Part, type Running, running } from './part.ts'
import { freePort, portAnswers } from './ports.ts'

export const postgres: Part = {
  install: 'PostgreSQL 14 or newer (Debian: apt-get install postgresql)',
  prepare: async (say) => {
    const found = await binaries()
    if (found) return found
    if (process.env['CI'] && process.getuid?.() === 0) await installDebian('postgresql', say)
    const installed = await binaries()
    if (!installed) throw new Error('no initdb on the PATH and none under /usr/lib/postgresql')
    return installed
  },
}

export interface PostgresOptions {
  /** Further lines of postgresql.conf, such as `max_connections`. */
  readonly settings?: Readonly<Record<string, string>>
  /** More of the server's environment, by its data folder. */
  readonly env?: (data: string) => NodeJS.ProcessEnv
}

export interface RunningPostgres extends Running {
  readonly port: number
  /** `postgres://writ:PASSWORD@127.0.0.1:PORT/postgres`, as a superuser. */
  readonly url: string
}

export async function startPostgres(options: PostgresOptions = {}): Promise<RunningPostgres> {
  const bin = await postgres.prepare(() => undefined)
  const owner = await nonRoot()
  const folder = await mkdtemp(join(tmpdir(), 'writ-postgres-'))
  const port = await freePort()
  const password = 'correct-horse'
  const data = join(folder, 'data')
  await writeFile(join(folder, 'password'), `${password}\n`)
  if (owner) await run('chown', ['-R', `${owner.uid}:${owner.gid}`, folder])
  await chmod(folder, 0o700)
  const as = { cwd: folder, ...owner }
  await run(
    join(bin, 'initdb'),
    [
      ...['-D', data, '-U', 'writ', '-A', 'scram-sha-256', '--pwfile', join(folder, 'password')],
      ...['-E', 'UTF8', '--locale=C', '--no-sync'],
    ],
    as,
  )
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    ...options.settings,
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const serving = { ...as, env: { ...process.env, ...options.env?.(data) } }
  const start = async (): Promise<Child> => {
    for (let attempt = 1; ; attempt++) {
      const child = startChild(join(bin, 'postgres'), ['-D', data, ...flags], serving)
      try {
        await child.printed(/database system is ready to accept connections/, 60_000)
        await portAnswers(port, 10_000, child.ended)
        return child
      } catch (cause) {
        // After SIGKILL the server's own children take a moment to notice, and hold on to its shared memory until then.
        await child.kill()
        if (attempt === 20 || !/still in use|lock file/.test(child.logs())) throw cause
        await pause(250)
      }
    }
  }
  const url = `postgres://writ:${password}@127.0.0.1:${port}/postgres`
  return { ...(await running(folder, start)), port, url }
}

/** The newest of Debian's folders, else where the PATH's initdb is. */
async function binaries(): Promise<string | undefined> {
  const versions = await readdir('/usr/lib/postgresql').catch(() => [])
  const folders = versions.sort((a, b) => Number(b) - Number(a)).map((name) => `/usr/lib/postgresql/${name}/bin`)
  const initdb = await findProgram('initdb', folders)
  return initdb && (await isThere(join(dirname(initdb), 'postgres'))) ? dirname(initdb) : undefined
}

/** PostgreSQL refuses to run as root: there it runs as its own user, or as nobody. */
async function nonRoot(): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string): Promise<string> => run('id', [flag, 'postgres']).catch(() => run('id', [flag, 'nobody']))
  return { uid: Number(await id('-u')), gid: Number(await id('-g')) }
}
