/** What the auditor has to know of the past before it can judge a batch, read from the store. */

import { eq, max, sql } from 'drizzle-orm'
import { toHex } from '../../core/bytes.ts'
import { logStride } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { decisionId, type Epoch, parseEvent, type StartBody } from '../../core/record.ts'
import type { Cursor, Known, StoredRecord } from './admit.ts'
import type { ArrivedRecord } from './arrival.ts'
import { type Announced, announcedBy, maxAnnounced, withAnnounced } from './head.ts'
import { type Hole, holeAt } from './holes.ts'
import { rowsOf } from './ledger.ts'
import { checkpoints, type Db, leaves, logs, offsets } from './schema.ts'

/** Where a shard stands. */
export interface ShardState {
  readonly size: number
  readonly nextOffset: string | undefined
  /** Who moved the offset last. */
  readonly owner: string | undefined
  /** Size of the last checkpoint in the store, 0 where there is none. */
  readonly checkpointed: number
}

/** The log that a partition's records go to now. */
export async function recallLog(db: Db, partition: number): Promise<number> {
  const [last] = await db
    .select({ shard: max(logs.shard) })
    .from(logs)
    .where(eq(logs.partition, partition))
  return last?.shard ?? partition
}

export async function recallShard(db: Db, shard: number): Promise<ShardState> {
  const [last] = await db
    .select({ index: max(leaves.index) })
    .from(leaves)
    .where(eq(leaves.shard, shard))
  const [offset] = await db.select().from(offsets).where(eq(offsets.shard, shard))
  const [signed] = await db
    .select({ size: max(checkpoints.size) })
    .from(checkpoints)
    .where(eq(checkpoints.shard, shard))
  const size = last?.index == null ? 0 : last.index + 1
  return { size, nextOffset: offset?.nextOffset, owner: offset?.owner, checkpointed: signed?.size ?? 0 }
}

/** The auditor's last epoch in this shard, or in the log that it follows, for the start of its next. */
export async function recallOwn(db: Db, shard: number, producer: string): Promise<StartBody['previous']> {
  for (let log = shard; log >= 0; log -= logStride) {
    const previous = await recallOwnOf(db, log, producer)
    if (previous) return previous
  }
  return undefined
}

async function recallOwnOf(db: Db, shard: number, producer: string): Promise<StartBody['previous']> {
  const [row] = await rowsOf<{ epoch: string; next_seq: string; last_hash: Uint8Array; final: boolean }>(
    db.execute(sql`select e.epoch, e.next_seq, e.last_hash, e.final
      from epochs e join records r on r.epoch = e.epoch and r.seq = 0
      where e.producer = ${producer} and e.shard = ${shard} order by r.index desc limit 1`),
  )
  if (!row) return undefined
  const seq = Number(row.next_seq) - 1
  return { epoch: row.epoch as Epoch, seq, hash: toHex(row.last_hash), ended: row.final ? 'clean' : 'crash' }
}

export async function recallCursors(db: Db, wanted: readonly string[], sha256: Sha256): Promise<Map<string, Cursor>> {
  const cursors = new Map<string, Cursor>()
  if (wanted.length === 0) return cursors
  const list = JSON.stringify(wanted)
  const found = await rowsOf<{ [column: string]: unknown }>(
    db.execute(sql`select epoch, producer, shard, next_seq, last_hash, attested_seq, final,
        started_at::text as started_at, last_at::text as last_at
      from epochs where epoch in (select json_array_elements_text(${list}::json))`),
  )
  const announced = await recallAnnounced(db, list, sha256)
  for (const row of found) {
    const epoch = String(row['epoch'])
    cursors.set(epoch, {
      row: {
        epoch,
        producer: String(row['producer']),
        shard: Number(row['shard']),
        nextSeq: Number(row['next_seq']),
        lastHash: new Uint8Array(row['last_hash'] as Uint8Array),
        attestedSeq: Number(row['attested_seq']),
        final: row['final'] === true,
        startedAt: String(row['started_at']),
        lastAt: String(row['last_at']),
      },
      announced: announced.get(epoch) ?? [],
    })
  }
  return cursors
}

async function recallAnnounced(db: Db, list: string, sha256: Sha256): Promise<Map<string, readonly Announced[]>> {
  const rows = await rowsOf<{ epoch: string; bytes: Uint8Array }>(
    db.execute(sql`select w.epoch, s.bytes from json_array_elements_text(${list}::json) as w(epoch)
      cross join lateral (
        select l.bytes from records r join leaves l on l.shard = r.shard and l.index = r.index
        where r.epoch = w.epoch and r.kind in ('start', 'svid') order by r.seq desc limit ${maxAnnounced}
      ) s`),
  )
  const announced = new Map<string, readonly Announced[]>()
  for (const { epoch, bytes } of rows) {
    const parsed = parseEvent(new Uint8Array(bytes))
    const one = 'event' in parsed ? announcedBy(parsed.event, sha256) : undefined
    if (one) announced.set(epoch, withAnnounced(announced.get(epoch) ?? [], one))
  }
  return announced
}

/** Open gaps and stored records that the batch touches: all of them lie below a cursor. */
export async function recallBehind(
  db: Db,
  records: readonly ArrivedRecord[],
  cursors: ReadonlyMap<string, Cursor>,
): Promise<Pick<Known, 'holes' | 'stored'>> {
  const behind = records
    .map(({ event }) => event)
    .filter(({ epoch, seq }) => seq < (cursors.get(epoch)?.row.nextSeq ?? 0))
  if (behind.length === 0) return { holes: new Map(), stored: new Map() }

  const holes = await recallHoles(db, behind)
  const wanted = new Map<string, { epoch: string; seq: number; whole: boolean }>()
  for (const { epoch, seq } of behind) {
    const late = holeAt(holes.get(epoch) ?? [], seq) !== undefined
    const want = (at: number, whole: boolean) => wanted.set(`${epoch}-${at}-${whole}`, { epoch, seq: at, whole })
    want(seq, false)
    if (late) want(seq - 1, false)
    if (late) want(seq + 1, true)
  }
  const rows = await rowsOf<{ epoch: string; seq: string; hash: Uint8Array; bytes: Uint8Array | null }>(
    db.execute(sql`select r.epoch, r.seq, l.hash, case when w.whole then l.bytes end as bytes
      from json_to_recordset(${JSON.stringify([...wanted.values()])}::json) as w(epoch text, seq bigint, whole boolean)
      join records r on r.epoch = w.epoch and r.seq = w.seq
      join leaves l on l.shard = r.shard and l.index = r.index`),
  )
  const stored = new Map<string, StoredRecord>()
  for (const row of rows) {
    const id = decisionId({ epoch: row.epoch as Epoch, seq: Number(row.seq) })
    const parsed = row.bytes ? parseEvent(new Uint8Array(row.bytes)) : undefined
    const prev = (parsed && 'event' in parsed ? parsed.event.prev : undefined) ?? stored.get(id)?.prev
    stored.set(id, { hash: toHex(row.hash), prev })
  }
  return { holes, stored }
}

async function recallHoles(db: Db, behind: readonly { epoch: string; seq: number }[]): Promise<Map<string, Hole[]>> {
  const list = JSON.stringify(behind.map(({ epoch, seq }) => ({ epoch, seq })))
  const rows = await rowsOf<{ epoch: string; first: string; last: string; opened_index: string }>(
    db.execute(sql`select distinct g.epoch, g.first, g.last, g.opened_index
      from json_to_recordset(${list}::json) as w(epoch text, seq bigint)
      join gaps g on g.epoch = w.epoch and g.closed_index is null and w.seq between g.first and g.last
      order by g.epoch, g.first`),
  )
  const holes = new Map<string, Hole[]>()
  for (const { epoch, first, last, opened_index } of rows) {
    const list = holes.get(epoch) ?? []
    const openedIndex = Number(opened_index)
    list.push({ first: Number(first), last: Number(last), openedIndex, stored: true, filled: new Set() })
    holes.set(epoch, list)
  }
  return holes
}
