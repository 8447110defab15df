/** A program whose power can be cut: preloaded with powerloss.c, killed with all its processes, and its unsynced writes undone. */

import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { run } from '../../parts/child.ts'
import { findProgram } from '../../parts/find.ts'
import type { Chance } from './chance.ts'
import { type Lost, losePower } from './rollback.ts'

export interface Power {
  /** For the environment of the program. */
  readonly env: Readonly<Record<string, string>>
  /** Undoes what was not synced; no process of the program may be alive. */
  lose(chance: Chance): Lost
  /** Of all syncs so far. */
  syncs(): { readonly count: number; readonly longestMs: number; readonly writes: number }
}

/** Why power cannot be cut here, or undefined where it can. */
export async function whyNoPower(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'unsynced writes are discarded by a preloaded library, which is for Linux'
  return (await compiler())
    ? undefined
    : 'no C compiler (cc, gcc or clang) on the PATH for the library that is preloaded'
}

const compiler = async (): Promise<string | undefined> =>
  (await findProgram('cc')) ?? (await findProgram('gcc')) ?? (await findProgram('clang'))

/** Builds the library that is preloaded. */
export async function buildShim(folder: string): Promise<string> {
  const program = await compiler()
  if (!program) throw new Error('no C compiler on the PATH')
  const out = join(folder, 'powerloss.so')
  await run(program, ['-O2', '-shared', '-fPIC', '-o', out, join(import.meta.dirname, 'powerloss.c'), '-ldl'])
  return out
}

/**
 * `names`: also what a folder holds is lost where the folder was not synced, which is all that POSIX promises. A file
 * system with a journal of its names (ext4, XFS) keeps more.
 */
export function powerFor(shim: string, root: string, notes: string, names: boolean): Power {
  mkdirSync(notes, { recursive: true })
  chmodSync(notes, 0o777) // PostgreSQL is not root.
  return {
    env: {
      LD_PRELOAD: shim,
      WRIT_POWER_ROOT: root,
      WRIT_POWER_NOTES: notes,
      WRIT_POWER_NAMES: names ? '1' : '0',
      UV_USE_IO_URING: '0',
    },
    lose: (chance) => losePower(root, notes, chance),
    syncs() {
      const bytes = readFileSync(join(notes, 'stats'))
      const [count, longestNs, writes] = [0, 8, 16].map((at) => Number(bytes.readBigUInt64LE(at)))
      return { count: count!, longestMs: longestNs! / 1e6, writes: writes! }
    },
  }
}

/** A process and all that it started, children first told of. */
export function familyOf(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      children.set(parent, [...(children.get(parent) ?? []), Number(name)])
    } catch {
      // It ended meanwhile.
    }
  }
  const family = [pid]
  for (let i = 0; i < family.length; i++) family.push(...(children.get(family[i]!) ?? []))
  return family
}

/** SIGKILL to all of them, the first one first; resolves when none is left. */
export async function killFamily(pid: number): Promise<void> {
  const family = familyOf(pid)
  for (const member of family) kill(member)
  for (const member of family) while (isAlive(member)) await pause(5)
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It was gone.
  }
}

/** A zombie has no files open any more. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !'ZX'.includes(stat.slice(stat.lastIndexOf(')') + 2)[0]!)
  } catch {
    return false
  }
}

/** A short program whose power goes, to see that the library sees it: gives what is left of its folder. */
export async function tryPower(
  script: string,
  chance: Chance,
): Promise<{ readonly root: string; readonly lost: Lost }> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-power-'))
  const [root, notes] = [join(folder, 'root'), join(folder, 'notes')]
  mkdirSync(root)
  const power = powerFor(await buildShim(folder), root, notes, true)
  const file = join(folder, 'script.mjs')
  await writeFile(file, script)
  await run(process.execPath, [file, root], { env: { ...process.env, ...power.env } }).catch((thrown: Error) => {
    if (!thrown.message.includes('SIGKILL')) throw thrown
  })
  return { root, lost: power.lose(chance) }
}
