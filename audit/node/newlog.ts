/**
 * A new log where the old one cannot go on: what was signed is not in the store, and nothing brings it back. The old log
 * is never signed again, shorter or otherwise. What is left of it is signed as a tree of its own, and the new log begins
 * with an entry that quotes both.
 */

import { join } from 'node:path'
import { equalBytes, toBase64 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import {
  type Checkpoint,
  generationOf,
  keptOriginOf,
  logStride,
  maxGenerations,
  originOf,
  type SignedCheckpoint,
} from '../../core/log.ts'
import type { CheckpointSigner, NowNs, RandomBytes, Sha256 } from '../../core/ports.ts'
import type { LogOpenedBody } from '../../core/record.ts'
import { spiffeId, type TrustDomain } from '../../core/spiffe.ts'
import { formatTime } from '../../core/time.ts'
import { rootAt } from '../log/merkle.ts'
import { keptFile } from '../log/prove.ts'
import { hashesFromTiles } from '../log/tiles.ts'
import { ownEpochRow } from '../store/admit.ts'
import { eq, sql } from '../store/drizzle.ts'
import { insertEntries, newMemory, prepareEntries, upsertEpochs } from '../store/ledger.ts'
import { newChain, ownRecord, startBody } from '../store/own.ts'
import { recallLog, recallOwn, recallShard } from '../store/recall.ts'
import { checkpoints, logs, offsets } from '../store/schema.ts'
import { syncFolder, writeWhole } from './durable.ts'
import { type LogFolder, openLogFolder } from './folder.ts'
import type { Store } from './store.ts'
import { catchUp, signTree } from './tiles.ts'

export interface NewLogSettings {
  readonly store: Store
  readonly logDir: string
  readonly signer: CheckpointSigner
  readonly trustDomain: TrustDomain
  readonly cluster: string
  readonly software: string
  readonly partition: number
  readonly by: string
  readonly reason: string
  readonly now: NowNs
  readonly random: RandomBytes
  readonly sha256: Sha256
}

export interface NewLog {
  readonly shard: number
  readonly origin: string
  readonly previous: LogOpenedBody['previous']
  readonly signed: SignedCheckpoint
}

/** Refuses with `usage` where the old log can go on. No auditor may run on the partition; one that does is fenced. */
export async function openNewLog(settings: NewLogSettings): Promise<NewLog> {
  const { store, signer, trustDomain, partition, sha256 } = settings
  const old = await recallLog(store.db, partition)
  const origin = originOf(trustDomain, old)
  const signed = await signer.last(origin)
  const { size } = await recallShard(store.db, old)
  const folder = await openLogFolder(join(settings.logDir, String(old)), sha256)
  if (folder.size > size) throw moreInFolder(origin, folder.size, size)
  await catchUp(folder, store.db, old, size, sha256)
  const root = await folder.seal()
  const newest = await newestNote(settings, old, folder)
  await requireLoss(origin, signed, newest, folder, sha256)
  if (generationOf(old) >= maxGenerations) {
    throw new WritError('usage', `${origin} is the last of ${maxGenerations} logs of this partition`, {
      cure: 'give the records a topic of their own, and with it new partitions',
    })
  }
  const kept = { origin: keptOriginOf(origin), size, root }
  const known = await signer.last(kept.origin)
  if (known && !(known.size === size && equalBytes(known.root, root))) throw keptAlready(origin, known)
  const { note } = await signer.sign(kept, [])
  await writeWhole(join(settings.logDir, String(old), keptFile), note)
  await syncFolder(join(settings.logDir, String(old)))

  const previous: LogOpenedBody['previous'] = {
    origin,
    ...(signed && { signed: { size: signed.size, root: toBase64(signed.root) } }),
    ...(newest && { note: newest.note }),
    kept: { size, root: toBase64(root) },
  }
  const shard = old + logStride
  await begin(settings, old, shard, previous)
  const next = await openLogFolder(join(settings.logDir, String(shard)), sha256)
  const begun = await recallShard(store.db, shard)
  await catchUp(next, store.db, shard, begun.size, sha256)
  await signTree(next, shard, begun.checkpointed, { ...settings, db: store.db })
  return { shard, origin: originOf(trustDomain, shard), previous, signed: next.published! }
}

/** The rows that make the new log the partition's: all of them, or none. */
async function begin(
  { store, trustDomain, cluster, software, by, reason, partition, ...tools }: NewLogSettings,
  old: number,
  shard: number,
  previous: LogOpenedBody['previous'],
): Promise<void> {
  const producer = spiffeId(trustDomain, 'writ/auditor')
  if (!producer) throw new WritError('config_invalid', `${trustDomain} is no trust domain`)
  const own = { ...tools, name: { producer, trustDomain, cluster, software } }
  const before = await recallOwn(store.db, old, producer)
  const start = ownRecord(newChain(own), startBody(own, before), own)
  const opened = ownRecord(start.chain, { kind: 'log', action: 'opened', previous, by, reason }, own)
  const at = formatTime(tools.now())
  const prepared = await prepareEntries(store.db, shard, 0, [start.record, opened.record], newMemory())
  await store.transaction(async (tx) => {
    const [offset] = await tx.select().from(offsets).where(eq(offsets.shard, old))
    await tx.insert(logs).values({ shard, partition, openedAt: at })
    // Whoever still writes to the old log finds that its offset was moved.
    if (offset) {
      await tx.insert(offsets).values({ ...offset, shard })
      await tx
        .update(offsets)
        .set({ nextOffset: '-1', owner: `log ${shard}` })
        .where(eq(offsets.shard, old))
    }
    await insertEntries(tx, prepared)
    await upsertEpochs(tx, [{ ...ownEpochRow(opened.chain, shard, producer, at), final: true }])
  })
}

/** The newest checkpoint that was published and is still there, in the folder or in the table. */
async function newestNote(
  { store }: NewLogSettings,
  shard: number,
  folder: LogFolder,
): Promise<{ readonly size: number; readonly note: string } | undefined> {
  const [row] = await store.db
    .select({ size: checkpoints.size, note: checkpoints.note })
    .from(checkpoints)
    .where(eq(checkpoints.shard, shard))
    .orderBy(sql`size desc`)
    .limit(1)
  const { published } = folder
  if (!published || (row && row.size >= published.checkpoint.size)) return row
  return { size: published.checkpoint.size, note: published.note }
}

/** A log that can go on must: a second one beside it would only hide what is in the first. */
async function requireLoss(
  origin: string,
  signed: Checkpoint | undefined,
  newest: { readonly size: number } | undefined,
  folder: LogFolder,
  sha256: Sha256,
): Promise<void> {
  const forgotten = !signed && newest !== undefined
  if (forgotten || (signed && signed.size > folder.size)) return
  if (signed) {
    const root = await rootAt(sha256, signed.size, hashesFromTiles(sha256, folder.read, folder.size))
    if (!equalBytes(root, signed.root)) return
  }
  throw new WritError('usage', `${origin} has all that was signed of it: it goes on as it is`, {
    cure: 'start the auditor; a new log is for a loss that nothing brings back',
  })
}

const moreInFolder = (origin: string, folder: number, store: number): WritError =>
  new WritError('usage', `the log folder has ${folder} entries of ${origin}, the store ${store}`, {
    cure: 'bring the store up from the folder first: `writ audit restore --from-log`',
  })

const keptAlready = (origin: string, { size }: Checkpoint): WritError =>
  new WritError('fork', `${size} entries of ${origin} were signed as what is kept of it, and now they are others`, {
    cure: 'compare the store with the one from which a new log was opened before',
  })
