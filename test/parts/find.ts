/** Where real parts are looked for, and how one that is missing is fetched once for all later runs. */

import { access, constants, mkdir, mkdtemp, open, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { run } from './child.ts'
import type { Say } from './part.ts'

/** Fetched parts live here, shared by all checkouts. `WRIT_CACHE` moves it. */
export const cacheFolder = (): string => process.env['WRIT_CACHE'] ?? join(homedir(), '.cache', 'writ')

export const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

const canRun = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )

/** The first of `folders` that holds the program, then the PATH. */
export async function findProgram(name: string, folders: readonly string[] = []): Promise<string | undefined> {
  for (const folder of [...folders, ...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']) {
    const path = join(folder, name)
    if (folder !== '' && (await canRun(path))) return path
  }
  return undefined
}

/**
 * The folder `name` of the cache, made by `make` when it is not there. It appears under its name only when it is
 * whole, and one process at a time makes it: a broken fetch leaves nothing, two runs at once fetch once.
 */
export async function cached(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), name)
  if (await isThere(folder)) return folder
  await mkdir(cacheFolder(), { recursive: true })
  const release = await lock(`${folder}.lock`)
  try {
    if (await isThere(folder)) return folder
    const draft = await mkdtemp(`${folder}.part-`)
    try {
      await make(draft)
      await rename(draft, folder)
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
    return folder
  } finally {
    await release()
  }
}

/** Waits for the file to be ours. A lock whose process is gone is nobody's. */
async function lock(path: string): Promise<() => Promise<void>> {
  for (;;) {
    const file = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    if (file) {
      await file.writeFile(String(process.pid))
      await file.close()
      return () => rm(path, { force: true })
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => ''))
    if (owner > 0 && !isRunning(owner)) await rm(path, { force: true })
    await pause(250)
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** A Go program by module path and version, built into the cache once. Go names it after the path. */
export async function goProgram(name: string, module: string, version: string, say: Say): Promise<string> {
  const folder = await cached(`${name}-${version}`, async (draft) => {
    const go = await findProgram('go', ['/usr/local/go/bin'])
    if (!go) throw new Error(`no ${name} on the PATH, and no Go to build it with`)
    say(`building ${name} ${version} with Go`)
    await run(go, ['install', `${module}@${version}`], { cwd: draft, env: { ...process.env, GOBIN: draft } })
  })
  return join(
    folder,
    module
      .replace(/\/v\d+$/, '')
      .split('/')
      .at(-1)!,
  )
}

let installing: Promise<unknown> = Promise.resolve()

/** A program from Debian: found on the PATH, or in CI, where the machine is ours as root, installed. */
export async function debianProgram(program: string, debian: string, say: Say): Promise<string> {
  const found = await findProgram(program)
  if (found) return found
  if (!process.env['CI'] || process.getuid?.() !== 0) throw new Error(`no ${program} on the PATH`)
  await installDebian(debian, say)
  const installed = await findProgram(program)
  if (!installed) throw new Error(`Debian's ${debian} has no ${program}`)
  return installed
}

/** One at a time: apt holds a lock of its own. */
export function installDebian(debian: string, say: Say): Promise<void> {
  const next = installing.then(async () => {
    say(`installing ${debian} with apt-get`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    await run('apt-get', ['update', '-q'], { env })
    await run('apt-get', ['install', '-q', '-y', '--no-install-recommends', debian], { env })
  })
  installing = next.catch(() => undefined)
  return next
}
