/** What a sidecar starts with when control is away: the last snapshot that worked, and its bundles. */

import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkSnapshot } from '../../control/mesh/name.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import { sha256 } from './machine.ts'

export interface LastGood {
  snapshot(): Promise<MeshSnapshot | undefined>
  keepSnapshot(snapshot: MeshSnapshot): Promise<void>
  bundle(digest: string): Promise<Uint8Array | undefined>
  keepBundle(digest: string, bytes: Uint8Array): Promise<void>
}

export function keepLastGood(dir: string): LastGood {
  const read = (name: string): Promise<Uint8Array | undefined> => readFile(join(dir, name)).catch(() => undefined)
  const write = async (name: string, bytes: Uint8Array | string): Promise<void> => {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await writeFile(join(dir, `${name}.new`), bytes, { mode: 0o600 })
    await rename(join(dir, `${name}.new`), join(dir, name))
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
      for (const name of await readdir(dir)) {
        if (name.endsWith('.tar.gz') && !needed.has(name)) await rm(join(dir, name), { force: true })
      }
    },
    bundle: (digest) => read(`${digest}.tar.gz`), // Whoever loads it compares the digest again.
    keepBundle: (digest, bytes) => write(`${digest}.tar.gz`, bytes),
  }
}
