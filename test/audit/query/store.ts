/** A store filled from leaves as the auditor would fill it. */

import { sql } from '../../../audit/store/drizzle.ts'
import { insertEntries, newMemory, prepareEntries } from '../../../audit/store/ledger.ts'
import { checkpoints, type Db, epochs } from '../../../audit/store/schema.ts'
import { toHex } from '../../../core/bytes.ts'
import { parseEvent } from '../../../core/record.ts'
import { rootOfLeaves, type Signer } from '../verify/log.ts'
import { leafHashOf } from '../verify/producer.ts'

/** `covered` is the size of the one checkpoint, `attestedSeq` what heads cover of every epoch. */
export async function fill(
  db: Db,
  list: readonly Uint8Array[],
  signer: Signer,
  {
    shard = 0,
    covered = list.length,
    attestedSeq = 1e9,
  }: { shard?: number; covered?: number; attestedSeq?: number } = {},
): Promise<void> {
  const entries = list.map((bytes) => {
    const read = parseEvent(bytes)
    if ('wrong' in read) throw new Error(read.wrong)
    const hash = leafHashOf(bytes)
    return { event: read.event, bytes, hash, hashHex: toHex(hash) }
  })
  const memory = newMemory()
  for (const { event } of entries) memory.told.begin(event.epoch, 0)
  await insertEntries(db, await prepareEntries(db, shard, 0, entries, memory))
  const known = new Set<string>()
  for (const { event, hash: lastHash } of entries) {
    if (known.has(event.epoch)) continue
    known.add(event.epoch)
    const { epoch, producer, timestamp } = event
    const at = `${timestamp.slice(0, -4)}Z`
    await db
      .insert(epochs)
      .values({ epoch, producer, shard, nextSeq: 1, lastHash, attestedSeq, final: false, startedAt: at, lastAt: at })
  }
  const root = rootOfLeaves(list.slice(0, covered))
  const note = await signer.checkpoint(shard, covered, root)
  await db.insert(checkpoints).values({ shard, size: covered, root, note, at: '2026-11-23T12:00:01Z' })
}

/** Leaves nothing in the store, of whatever shard. */
export const empty = (db: Db): Promise<unknown> =>
  db.execute(sql`truncate chunks, batches, spans, announced, others, rows, ends, rollups, rollup_days, rollup_peers, rolled, runs, names, shapes, peers,
    epochs, gaps, offsets, checkpoints, logs, orders, holds,
    edges_first_seen, finding_hours, finding_mix, finding_cursors, findings, finding_deliveries, finding_counts,
    disclosures, erased_keys, reconciled, lost_spools restart identity`)

/** For routes whose report nobody asks for here. */
export const noReport = (): Promise<never> => Promise.reject(new Error('this test makes no report'))
