/** Bundles of one source on disk: what is loaded before the network is asked, and what can be gone back to. */

import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject, parseJson } from '../../core/json.ts'
import type { KeptBundle, SourceState } from '../poll.ts'

export interface BundleStore {
  /** Undefined where nothing was kept, or what was kept cannot be read. */
  state(): Promise<SourceState | undefined>
  /** Bytes that still have this digest, else undefined. */
  bundle(sha256: string): Promise<Uint8Array | undefined>
  keepBundle(sha256: string, bytes: Uint8Array): Promise<void>
  /** Bundles that the state no longer names are removed. */
  keepState(state: SourceState): Promise<void>
}

const stateFile = 'source.json'
const fileOf = (sha256: string): string => `${sha256}.tar.gz`

export function openBundleStore(dir: string): BundleStore {
  return {
    async state() {
      const text = await readFile(join(dir, stateFile), 'utf8').catch(() => '')
      const value: unknown = parseJson(text)
      return isState(value) ? value : undefined
    },
    async bundle(sha256) {
      const bytes = await readFile(join(dir, fileOf(sha256))).catch(() => undefined)
      return bytes && createHash('sha256').update(bytes).digest('hex') === sha256 ? new Uint8Array(bytes) : undefined
    },
    keepBundle: (sha256, bytes) => write(dir, fileOf(sha256), bytes),
    async keepState(state) {
      await write(dir, stateFile, JSON.stringify(state))
      const needed = new Set([stateFile, ...state.kept.map(({ sha256 }) => fileOf(sha256))])
      for (const name of await readdir(dir)) if (!needed.has(name)) await rm(join(dir, name), { force: true })
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

function isState(value: unknown): value is SourceState {
  if (!isObject(value) || value['v'] !== 1 || typeof value['url'] !== 'string') return false
  const { served, inForce, kept } = value
  if (inForce !== undefined && !isDigest(inForce)) return false
  if (served !== undefined && !(isObject(served) && isDigest(served['sha256']) && isEtag(served['etag']))) return false
  return Array.isArray(kept) && kept.every(isKept)
}

const isDigest = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
const isEtag = (value: unknown): boolean => value === undefined || typeof value === 'string'

const isKept = (value: unknown): value is KeptBundle =>
  isObject(value) &&
  isDigest(value['sha256']) &&
  typeof value['revision'] === 'string' &&
  Number.isSafeInteger(value['atMs'])
