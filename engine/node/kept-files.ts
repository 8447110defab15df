/** Versions of one source on disk, by their digest, and a state that names them: what the next start begins with. */

import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseJson } from '../../core/json.ts'

export interface KeptFiles<State> {
  /** Undefined where nothing was kept, or what was kept cannot be read. */
  state(): Promise<State | undefined>
  /** Bytes that still have this digest, else undefined. */
  version(sha256: string): Promise<Uint8Array | undefined>
  keepVersion(sha256: string, bytes: Uint8Array): Promise<void>
  /** Versions that the state no longer names are removed. */
  keepState(state: State): Promise<void>
}

export interface KeptForm<State> {
  /** Ends the names of the versions' files: `.tar.gz`. */
  readonly suffix: string
  readonly isState: (value: unknown) => value is State
  /** The versions that a state names. */
  readonly digestsOf: (state: State) => readonly string[]
}

const stateFile = 'source.json'

export function openKeptFiles<State>(dir: string, { suffix, isState, digestsOf }: KeptForm<State>): KeptFiles<State> {
  let named = ''
  return {
    async state() {
      const value: unknown = parseJson(await readFile(join(dir, stateFile), 'utf8').catch(() => ''))
      return isState(value) ? value : undefined
    },
    async version(sha256) {
      const bytes = await readFile(join(dir, sha256 + suffix)).catch(() => undefined)
      return bytes && createHash('sha256').update(bytes).digest('hex') === sha256 ? new Uint8Array(bytes) : undefined
    },
    keepVersion: (sha256, bytes) => write(dir, sha256 + suffix, bytes),
    async keepState(state) {
      await write(dir, stateFile, JSON.stringify(state))
      const needed = new Set([stateFile, ...digestsOf(state).map((sha256) => sha256 + suffix)])
      const now = [...needed].join()
      if (now === named) return // Most looks find what was there before.
      for (const name of await readdir(dir)) if (!needed.has(name)) await rm(join(dir, name), { force: true })
      named = now
    },
  }
}

/** On the disk under another name first: after a crash there is the old file or the new one. */
async function write(dir: string, name: string, content: Uint8Array | string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const beside = join(dir, `${name}.new`)
  const file = await open(beside, 'w', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(beside, join(dir, name))
}
