/** What a sidecar starts with when control is away: the last snapshot that worked, and its bundles. */

import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, syncFolder, writeWhole } from '../../audit/node/durable.ts'
import { checkSnapshot } from '../../control/mesh/name.ts'
import { isObject, parseJson } from '../../core/json.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import { sha256 } from './machine.ts'

export interface LastGood {
  snapshot(): Promise<MeshSnapshot | undefined>
  keepSnapshot(snapshot: MeshSnapshot): Promise<void>
  bundle(digest: string): Promise<Uint8Array | undefined>
  keepBundle(digest: string, bytes: Uint8Array): Promise<void>
  data(digest: string): Promise<Uint8Array | undefined>
  keepData(digest: string, bytes: Uint8Array): Promise<void>
  /** How old data was when control last said so; empty where nothing of it was kept. */
  freshness(): Promise<Freshness>
  keepFreshness(freshness: Freshness): Promise<void>
}

/** By name and digest of the data: when it was last seen to be the newest, in milliseconds since 1970. */
export type Freshness = ReadonlyMap<string, number>

export function keepLastGood(dir: string): LastGood {
  const read = (name: string): Promise<Uint8Array | undefined> => readFile(join(dir, name)).catch(() => undefined)
  const write = async (name: string, bytes: Uint8Array | string): Promise<void> => {
    await makeFolder(dir, 0o700)
    await writeWhole(join(dir, name), bytes, 0o600)
    await syncFolder(dir) // Needed after a power loss too, where control is away.
  }
  return {
    async snapshot() {
      const bytes = await read('snapshot.json')
      if (!bytes) return undefined
      try {
        return checkSnapshot(JSON.parse(new TextDecoder().decode(bytes)), sha256)
      } catch {
        return undefined // Torn or of another version: as good as none.
      }
    },
    async keepSnapshot(snapshot) {
      await write('snapshot.json', JSON.stringify(snapshot))
      const needed = new Set(snapshot.bundles.map((ref) => `${ref.sha256}.tar.gz`))
      for (const { version } of snapshot.data ?? []) if (version) needed.add(`${version.sha256}.data`)
      for (const name of await readdir(dir)) {
        if (/\.(?:tar\.gz|data)$/.test(name) && !needed.has(name)) await rm(join(dir, name), { force: true })
      }
    },
    bundle: (digest) => read(`${digest}.tar.gz`), // Whoever loads it compares the digest again.
    keepBundle: (digest, bytes) => write(`${digest}.tar.gz`, bytes),
    data: (digest) => read(`${digest}.data`),
    keepData: (digest, bytes) => write(`${digest}.data`, bytes),
    async freshness() {
      const bytes = await read('freshness.json')
      const value = bytes && parseJson(new TextDecoder().decode(bytes))
      const entries = Object.entries(isObject(value) ? value : {})
      return new Map(entries.flatMap(([which, asOfMs]) => (typeof asOfMs === 'number' ? [[which, asOfMs]] : [])))
    },
    keepFreshness: (freshness) => write('freshness.json', JSON.stringify(Object.fromEntries(freshness))),
  }
}
