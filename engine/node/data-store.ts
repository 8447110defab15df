/** Versions of one source of data on disk, by their digest: what the next start begins with, and what records name. */

import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject, parseJson } from '../../core/json.ts'

export interface KeptData {
  readonly sha256: string
  readonly bytes: number
  /** When it came, in milliseconds since 1970. */
  readonly atMs: number
}

export interface DataState {
  readonly v: 1
  /** File or URL that it came from: an ETag is nothing to another server. */
  readonly place: string
  readonly etag: string | undefined
  /** When the version in force was last seen to be the newest, in milliseconds since 1970. */
  readonly checkedMs: number
  /** The one in force first. */
  readonly kept: readonly KeptData[]
}

export interface DataStore {
  /** Undefined where nothing was kept, or what was kept cannot be read. */
  state(): Promise<DataState | undefined>
  /** Bytes that still have this digest, else undefined. */
  version(sha256: string): Promise<Uint8Array | undefined>
  keepVersion(sha256: string, bytes: Uint8Array): Promise<void>
  /** Versions that the state no longer names are removed. */
  keepState(state: DataState): Promise<void>
}

const stateFile = 'source.json'
const fileOf = (sha256: string): string => `${sha256}.data`

export function openDataStore(dir: string): DataStore {
  let named = ''
  return {
    async state() {
      const value: unknown = parseJson(await readFile(join(dir, stateFile), 'utf8').catch(() => ''))
      return isState(value) ? value : undefined
    },
    async version(sha256) {
      const bytes = await readFile(join(dir, fileOf(sha256))).catch(() => undefined)
      return bytes && createHash('sha256').update(bytes).digest('hex') === sha256 ? new Uint8Array(bytes) : undefined
    },
    keepVersion: (sha256, bytes) => write(dir, fileOf(sha256), bytes),
    async keepState(state) {
      await write(dir, stateFile, JSON.stringify(state))
      const needed = new Set([stateFile, ...state.kept.map(({ sha256 }) => fileOf(sha256))])
      const now = [...needed].join()
      if (now === named) return // Most looks find what was there before.
      for (const name of await readdir(dir)) if (!needed.has(name)) await rm(join(dir, name), { force: true })
      named = now
    },
  }
}

/** The newest first; those that are over either limit go, but never the first. */
export function within(kept: readonly KeptData[], most: number, mostBytes: number): readonly KeptData[] {
  let bytes = 0
  return kept.filter((one, i) => {
    bytes += one.bytes
    return i === 0 || (i < most && bytes <= mostBytes)
  })
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

function isState(value: unknown): value is DataState {
  if (!isObject(value) || value['v'] !== 1 || typeof value['place'] !== 'string') return false
  const { etag, checkedMs, kept } = value
  if (etag !== undefined && typeof etag !== 'string') return false
  return Number.isSafeInteger(checkedMs) && Array.isArray(kept) && kept.length > 0 && kept.every(isKept)
}

const isKept = (value: unknown): value is KeptData =>
  isObject(value) &&
  typeof value['sha256'] === 'string' &&
  /^[0-9a-f]{64}$/.test(value['sha256']) &&
  Number.isSafeInteger(value['bytes']) &&
  Number.isSafeInteger(value['atMs'])
