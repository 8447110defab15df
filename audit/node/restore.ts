/** From a backup into an empty place: the log's files, then every row from them, then both verified against each other. */

import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { WritError } from '../../core/fault.ts'
import type { Sha256, VerifyHead } from '../../core/ports.ts'
import { parseVerifierKey } from '../log/note.ts'
import type { Verification } from '../verify/verify.ts'
import { restoreKeys } from './archive-keys.ts'
import { archivePlace } from './archive-place.ts'
import { isEmptyFolder, readManifest } from './backup.ts'
import { restoreDisclosures } from './backup-disclosures.ts'
import { makeFolder } from './durable.ts'
import { verifyEd25519 } from './ed25519.ts'
import { verifyPlace } from './examine.ts'
import { sourcesIn } from './logfolder.ts'
import type { S3Settings } from './objects/place.ts'
import { isEmptyStore, type Rebuilt, rebuildShard } from './rebuild.ts'
import type { Store } from './store.ts'
import { unarchive } from './unarchive.ts'

export interface RestoreParts {
  readonly store: Store
  readonly logDir: string
  readonly verifyHead: VerifyHead
  readonly sha256: Sha256
  readonly now: () => bigint
  /** An archive whose entries are put back into the log folder first: a folder, an http(s) URL or s3://bucket/prefix. */
  readonly archive?: string
  readonly s3?: S3Settings
  readonly onProgress?: (shard: number, entries: number, of: number) => void
}

export interface Restored {
  readonly shards: readonly Rebuilt[]
  readonly verification: Verification
}

/** `usage` where anything is in the place already. What does not verify throws `log_invalid`, and is not to be used. */
export async function restoreBackup(from: string, parts: RestoreParts): Promise<Restored> {
  const { store, logDir, sha256 } = parts
  const manifest = await readManifest(from, sha256)
  if (!(await isEmptyFolder(logDir)) || !(await isEmptyStore(store))) {
    throw new WritError('usage', `${logDir} or the store is not empty: nothing was restored`, {
      cure: 'restore into a new state folder and a new database, and keep the old ones as evidence',
    })
  }
  await makeFolder(logDir)
  for (const { shard } of manifest.shards) {
    await cp(join(from, 'log', String(shard)), join(logDir, String(shard)), { recursive: true })
  }
  const places = new Map(manifest.shards.map(({ shard, nextOffset }) => [shard, nextOffset]))
  const restored = await rebuildStore(manifest.verifierKey, parts, (shard) => places.get(shard))
  for (const { shard, disclosures = [] } of manifest.shards) await restoreDisclosures(from, shard, disclosures, parts)
  return restored
}

/** Brings the store up to the log folder, and verifies every row. */
export async function rebuildStore(
  verifierKey: string,
  parts: RestoreParts,
  nextOffset: (shard: number) => string | undefined = () => undefined,
): Promise<Restored> {
  const { store, logDir, sha256, verifyHead } = parts
  const key = parseVerifierKey(sha256, verifierKey)
  if (!key) throw new WritError('log_invalid', 'the verifier key cannot be read', { cure: 'give the one of this log' })
  if (parts.archive !== undefined) {
    if (!(await isEmptyStore(store))) {
      throw new WritError(
        'usage',
        'the store is not empty: rows of what was pruned cannot be put before those it has',
        {
          cure: 'restore into a new database',
        },
      )
    }
    await unarchive(archivePlace(parts.archive, parts.s3), logDir, sha256)
  }
  const shards: Rebuilt[] = []
  for (const { shard, read } of await sourcesIn(logDir)) {
    shards.push(await rebuildShard(shard, read, nextOffset(shard), { ...parts, key, verifyNote: verifyEd25519 }))
  }
  if (parts.archive !== undefined) {
    const out = archivePlace(parts.archive, parts.s3)
    for (const { shard } of shards) await restoreKeys(out, shard, store)
  }
  const { verification } = await verifyPlace({ dir: logDir, key, verifyHead, sha256, db: store.db })
  return { shards, verification }
}
