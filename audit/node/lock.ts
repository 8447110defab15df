/**
 * One process per folder. The lock names its owner by pid and start time, so a lock left by a dead process is
 * recognised and taken over even where the pid lives again. Owners in another pid namespace cannot be seen: a folder
 * must not be shared between containers.
 */

import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type FaultCode, messageOf, WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'

export interface FolderLock {
  /** What the dead owner left, where there was one. */
  readonly takenFrom: string | undefined
  /** Whether the folder still holds this lock. */
  held(): boolean
  release(): void
}

/** Throws `in_use` while a living process has the folder, and `unwritable` where it cannot be written. */
export function lockFolder(dir: string, unwritable: FaultCode = 'unavailable'): FolderLock {
  const path = join(dir, 'lock')
  const own = JSON.stringify({
    pid: process.pid,
    started: startedOf(process.pid) ?? '',
    nonce: randomBytes(8).toString('hex'),
  })
  const draft = join(dir, `lock.${randomBytes(8).toString('hex')}`)
  try {
    writeFileSync(draft, own, { mode: 0o600, flag: 'wx' })
  } catch (thrown) {
    throw new WritError(unwritable, `${dir} cannot be written: ${messageOf(thrown)}`, {
      cure: 'give the process a folder of its own that it may write',
      cause: thrown,
    })
  }
  try {
    return { ...claim(path, draft, own, dir), held: () => contentOf(path) === own, release: () => release(path, own) }
  } finally {
    remove(draft)
  }
}

/** A link is made only where no lock stands, and is whole from the start. */
function claim(path: string, draft: string, own: string, dir: string): { takenFrom: string | undefined } {
  let takenFrom: string | undefined
  for (let tries = 0; tries < 3; tries++) {
    if (linked(draft, path) && contentOf(path) === own) return { takenFrom }
    const there = contentOf(path)
    if (there === undefined) continue
    if (isAlive(there)) {
      throw new WritError('in_use', `${dir} is in use by process ${ownerOf(there)}`, {
        cure: 'stop that process, or give this one a folder of its own',
      })
    }
    // Moved aside before it goes, so that of two who find the same dead lock one removes it and the other sees that.
    const aside = `${draft}.dead`
    try {
      renameSync(path, aside)
    } catch {
      continue
    }
    if (contentOf(aside) !== there)
      linked(aside, path) // It was a living one by then: put it back.
    else takenFrom = there
    remove(aside)
  }
  throw new WritError('in_use', `the lock of ${dir} could not be taken`, {
    cure: 'another process is starting on the same folder; give each a folder of its own',
  })
}

const ownerOf = (lock: string): string => {
  const owner = parseJson(lock)
  return isObject(owner) ? String(owner['pid']) : lock
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw thrown
  }
}

function isAlive(lock: string): boolean {
  const owner = parseJson(lock)
  if (!isObject(owner) || typeof owner['pid'] !== 'number' || !Number.isSafeInteger(owner['pid'])) return false
  const started = startedOf(owner['pid'])
  if (started !== undefined) return started === owner['started']
  try {
    process.kill(owner['pid'], 0)
    return true
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Boot and start time of a process where the system tells (Linux: proc(5), stat field 22); undefined elsewhere. */
function startedOf(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in field 2 may hold spaces and brackets; what follows its last bracket is field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return `${boot}/${fields[19]}`
  } catch {
    return undefined
  }
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function release(path: string, own: string): void {
  if (contentOf(path) === own) remove(path)
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Somebody else removed it: it is gone, which is what was wanted.
  }
}
