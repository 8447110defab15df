/** Brings a store up from the log folder: leaves and all rows, each leaf held against the signed tree first. */

import { equalBytes } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { logStride, partitionOf } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { formatTime } from '../../core/time.ts'
import { type HashAt, rootAt } from '../log/merkle.ts'
import { type Ed25519Verify, type NoteKey, openNote } from '../log/note.ts'
import { keptFile, minimumIndex, newestCheckpoint } from '../log/prove.ts'
import { hashesFromTiles, readBundle, type TileReader, tileWidth } from '../log/tiles.ts'
import type { ArrivedRecord } from '../store/arrival.ts'
import { isNull } from '../store/drizzle.ts'
import { readmitFindings } from '../store/finding-rows.ts'
import { insertEntries, moveOffset, newMemory, prepareEntries, upsertEpochs, writeGaps } from '../store/ledger.ts'
import { readmitLostSpools } from '../store/lost-spools.ts'
import { type Readmission, readmit } from '../store/readmit.ts'
import { recallShard } from '../store/recall.ts'
import { checkpoints, epochs, type GapRow, gaps, logs } from '../store/schema.ts'
import { carriedOf, type Left, writeLeft } from './left.ts'
import { readmitHolds } from './orders.ts'
import { forget } from './retain.ts'
import { otherCopy, signedEntry } from './signed-entry.ts'
import type { Store } from './store.ts'

export interface RebuildParts {
  readonly store: Store
  readonly key: NoteKey
  readonly verifyNote: Ed25519Verify
  readonly sha256: Sha256
  /** Wall clock, for rows that say when they were made. */
  readonly now: () => bigint
  /** Entries taken in so far, after each page. */
  readonly onProgress?: (shard: number, entries: number, of: number) => void
}

export interface Rebuilt {
  readonly shard: number
  readonly from: number
  readonly size: number
}

/** Bundles in one transaction. */
const bundlesAtOnce = 4

/**
 * Takes in what the folder has beyond the store, up to its checkpoint. An offset that the store has stays: what the
 * stream brings again is known by its numbers. Throws `log_invalid` where the folder is not what was signed, `fork` where
 * the store holds other entries than the folder. To be called with the shards in order.
 */
export async function rebuildShard(
  shard: number,
  read: TileReader,
  nextOffset: string | undefined,
  parts: RebuildParts,
): Promise<Rebuilt> {
  const { store, sha256 } = parts
  const newest = await newestSigned(read, shard, parts)
  const { size } = newest.checkpoint
  const hashAt = hashesFromTiles(sha256, read, size)
  if (!equalBytes(await rootAt(sha256, size, hashAt), newest.checkpoint.root)) {
    throw new WritError('log_invalid', `the tiles of shard ${shard} do not hash to the signed root`, {
      cure: otherCopy,
    })
  }
  const before = await recallShard(store.db, shard)
  const state = await recallReadmission(parts.store)
  const memory = newMemory()
  const minimum = await minimumIndex(read)
  let left: Left | undefined
  if (before.size < minimum) {
    const carried = await carriedOf(read, before.size, minimum, hashAt, sha256)
    const changes = carried.map(({ index, entry }) => readmit(state, shard, index, [entry]))
    left = { minimum, changes, carried }
  }
  let from = Math.max(before.size, minimum)
  while (from < size) {
    const to = Math.min(size, (Math.floor(from / tileWidth) + bundlesAtOnce) * tileWidth)
    const entries = await entriesOf(read, from, to, size, hashAt, sha256)
    for (const { event } of entries) memory.told.begin(event.epoch, state.epochs.get(event.epoch)?.nextSeq ?? 0)
    const at = from
    const { epochs, gaps } = readmit(state, shard, from, entries)
    const prepared = await prepareEntries(store.db, shard, from, entries, memory)
    await store.transaction(async (tx) => {
      if (left) await writeLeft(tx, shard, left)
      await insertEntries(tx, prepared)
      await upsertEpochs(tx, epochs)
      await writeGaps(tx, gaps)
      await readmitHolds(tx, entries)
      await readmitLostSpools(tx, shard, at, entries)
      await readmitFindings(tx, shard, entries)
    })
    left = undefined
    from = to
    parts.onProgress?.(shard, from, size)
  }
  await store.transaction(async (tx) => {
    if (minimum > 0) await forget(tx, shard, minimum)
    if (shard >= logStride) {
      const row = { shard, partition: partitionOf(shard), openedAt: formatTime(parts.now()) }
      await tx.insert(logs).values(row).onConflictDoNothing()
    }
    if (before.nextOffset === undefined && nextOffset !== undefined) {
      await moveOffset(tx, shard, undefined, nextOffset, 'restored')
    }
    const { note, checkpoint } = newest
    if (newest.kept) return
    await tx
      .insert(checkpoints)
      .values({ shard, size, root: checkpoint.root, note, at: formatTime(parts.now()) })
      .onConflictDoNothing()
  })
  return { shard, from: Math.max(before.size, minimum), size }
}

/** The checkpoint whose tree the folder holds: of a log that another one follows, the one over what is kept. */
async function newestSigned(read: TileReader, shard: number, { key, verifyNote }: RebuildParts) {
  const kept = await newestCheckpoint(read, keptFile)
  const newest = kept ?? (await newestCheckpoint(read))
  const opened = newest && (await openNote(newest.note, [key], verifyNote))
  if (newest && opened?.ok) return { ...newest, kept: kept !== undefined }
  throw new WritError(
    'log_invalid',
    `shard ${shard} has no checkpoint that holds: ${opened ? 'signature' : 'missing'}`,
    {
      cure: 'take another copy of the folder, and the key that it was signed with',
    },
  )
}

async function entriesOf(
  read: TileReader,
  from: number,
  to: number,
  size: number,
  hashAt: HashAt,
  sha256: Sha256,
): Promise<ArrivedRecord[]> {
  const entries: ArrivedRecord[] = []
  for (let index = Math.floor(from / tileWidth); index * tileWidth < to; index++) {
    const bundle = await readBundle(read, index, size)
    for (let i = Math.max(0, from - index * tileWidth); i < bundle.length; i++) {
      entries.push(await signedEntry(bundle[i]!, index * tileWidth + i, hashAt, sha256))
    }
  }
  return entries
}

/** Where the store stands before: nothing where it is empty. */
async function recallReadmission({ db }: Store): Promise<Readmission> {
  const open = new Map<string, GapRow[]>()
  for (const row of await db.select().from(gaps).where(isNull(gaps.closedIndex))) {
    open.set(row.epoch, [...(open.get(row.epoch) ?? []), row])
  }
  const known = await db.select().from(epochs)
  return {
    epochs: new Map(known.map((row) => [row.epoch, { ...row, lastHash: new Uint8Array(row.lastHash) }])),
    gaps: open,
  }
}

/** Whether a store holds nothing of any log. */
export async function isEmptyStore({ db }: Store): Promise<boolean> {
  const found = await db.select({ epoch: epochs.epoch }).from(epochs).limit(1)
  const signed = await db.select({ shard: checkpoints.shard }).from(checkpoints).limit(1)
  return found.length === 0 && signed.length === 0
}
