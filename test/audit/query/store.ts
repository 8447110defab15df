/** A store filled from leaves as the auditor would fill it. */

import { outcomeRowsOf, recordRowOf } from '../../../audit/store/row.ts'
import { checkpoints, type Db, epochs, leaves, outcomes, records } from '../../../audit/store/schema.ts'
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
  const known = new Set<string>()
  for (const [index, bytes] of list.entries()) {
    const read = parseEvent(bytes)
    if ('wrong' in read) throw new Error(read.wrong)
    const { event } = read
    await db.insert(leaves).values({ shard, index, hash: leafHashOf(bytes), bytes })
    await db.insert(records).values({ shard, index, ...recordRowOf(event) })
    const ends = outcomeRowsOf(event)
    if (ends.length > 0) await db.insert(outcomes).values(ends.map((row) => ({ shard, index, ...row })))
    if (known.has(event.epoch)) continue
    known.add(event.epoch)
    const { epoch, producer, timestamp } = event
    const lastHash = leafHashOf(bytes)
    const at = `${timestamp.slice(0, -4)}Z`
    await db
      .insert(epochs)
      .values({ epoch, producer, shard, nextSeq: 1, lastHash, attestedSeq, final: false, startedAt: at, lastAt: at })
  }
  const root = rootOfLeaves(list.slice(0, covered))
  const note = await signer.checkpoint(shard, covered, root)
  await db.insert(checkpoints).values({ shard, size: covered, root, note, at: '2026-11-23T12:00:01Z' })
}
