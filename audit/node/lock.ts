/** One process per folder: a lock file that names its owner, and that the owner's death opens. */

import { readFileSync } from 'node:fs'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WritError } from '../../core/fault.ts'

/** Locks `dir` until the returned function is called; throws `in_use` while a living process has it. */
export async function lockFolder(dir: string): Promise<() => Promise<void>> {
  const path = join(dir, 'lock')
  const mine = `${path}.${process.pid}.${process.hrtime.bigint()}`
  await writeFile(mine, ownerText(process.pid), { mode: 0o600 })
  try {
    while (!(await claim(mine, path))) {
      const held = await readFile(path, 'utf8').catch(() => undefined)
      if (held === undefined) continue // Freed since.
      if (isAlive(held)) throw inUse(dir, held)
      await bury(path, held)
    }
  } finally {
    await rm(mine, { force: true })
  }
  return () => rm(path, { force: true })
}

/** A hard link is made whole or not at all, and never over another. */
async function claim(mine: string, path: string): Promise<boolean> {
  try {
    await link(mine, path)
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw thrown
  }
}

/** Moves a dead owner's lock away. If a living one was put there in between, it is put back. */
async function bury(path: string, dead: string): Promise<void> {
  const grave = `${path}.${process.pid}.${process.hrtime.bigint()}`
  await rename(path, grave).catch(() => undefined)
  const moved = await readFile(grave, 'utf8').catch(() => dead)
  if (moved !== dead) await claim(grave, path)
  await rm(grave, { force: true })
}

/** A process number is used again after a restart, so the time at which the process began goes with it. */
const ownerText = (pid: number): string => `${pid} ${beganAt(pid)}\n`

function isAlive(owner: string): boolean {
  const pid = Number.parseInt(owner, 10)
  if (!Number.isInteger(pid)) return false
  try {
    process.kill(pid, 0)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return ownerText(pid) === owner
}

/** Field 22 of /proc/<pid>/stat on Linux, counted after the name, which may hold spaces. Elsewhere the pid alone. */
function beganAt(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

const inUse = (dir: string, owner: string): WritError =>
  new WritError('in_use', `${dir} is in use by process ${Number.parseInt(owner, 10)}`, {
    cure: 'stop that process, or give this one a folder of its own',
  })
