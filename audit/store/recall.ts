/** What the auditor has to know of the past before it can judge a batch, read from the store. */

import { toHex } from '../../core/bytes.ts'
import { logStride } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { decisionId, type Epoch, parseEvent, type StartBody } from '../../core/record.ts'
import { leafHash } from '../log/merkle.ts'
import type { Cursor, Known, StoredRecord } from './admit.ts'
import type { ArrivedRecord } from './arrival.ts'
import { eq, max, sql } from './drizzle.ts'
import { type Announced, announcedBy, maxAnnounced, withAnnounced } from './head.ts'
import { type Hole, holeAt } from './holes.ts'
import { leavesAt, readLeaves } from './leaves.ts'
import { placesOf } from './places.ts'
import { type Db, logs } from './schema.ts'
import { rowsOf } from './sql.ts'

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
  const [state] = await rowsOf<{ last: string | null; next: string | null; owner: string | null; signed: string }>(
    db.execute(sql`select (select max(last) from batches where shard = ${shard}
          and first = (select max(first) from batches where shard = ${shard})) as last,
        (select next_offset from offsets where shard = ${shard}) as next,
        (select owner from offsets where shard = ${shard}) as owner,
        (select coalesce(max(size), 0) from checkpoints where shard = ${shard}) as signed`),
  )
  const { last, next, owner, signed } = state!
  return {
    size: last === null ? 0 : Number(last) + 1,
    nextOffset: next ?? undefined,
    owner: owner ?? undefined,
    checkpointed: Number(signed),
  }
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
      from epochs e join announced a on a.epoch = e.epoch and a.seq = 0
      where e.producer = ${producer} and e.shard = ${shard} order by a.index desc limit 1`),
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
        started_at::text as started_at, last_at::text as last_at, previous
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
        previous: row['previous'] === null ? null : String(row['previous']),
      },
      announced: announced.get(epoch) ?? [],
    })
  }
  return cursors
}

async function recallAnnounced(db: Db, list: string, sha256: Sha256): Promise<Map<string, readonly Announced[]>> {
  const rows = await rowsOf<{ epoch: string; shard: number; index: string }>(
    db.execute(sql`select w.epoch, a.shard, a.index from json_array_elements_text(${list}::json) as w(epoch)
      cross join lateral (
        select a.shard, a.index from announced a where a.epoch = w.epoch order by a.seq desc limit ${maxAnnounced}
      ) a`),
  )
  const announced = new Map<string, readonly Announced[]>()
  for (const shard of new Set(rows.map((row) => row.shard))) {
    const here = rows.filter((row) => row.shard === shard)
    const leaves = await leavesAt(
      db,
      shard,
      here.map(({ index }) => Number(index)),
    )
    for (const { epoch, index } of here) {
      const bytes = leaves.get(Number(index))
      const parsed = bytes && parseEvent(bytes)
      const one = parsed && 'event' in parsed ? announcedBy(parsed.event, sha256) : undefined
      if (one) announced.set(epoch, withAnnounced(announced.get(epoch) ?? [], one))
    }
  }
  return announced
}

/** Open gaps and stored records that the batch touches: all of them lie below a cursor. */
export async function recallBehind(
  db: Db,
  records: readonly ArrivedRecord[],
  cursors: ReadonlyMap<string, Cursor>,
  sha256: Sha256,
): Promise<Pick<Known, 'holes' | 'stored'>> {
  const behind = records
    .map(({ event }) => event)
    .filter(({ epoch, seq }) => seq < (cursors.get(epoch)?.row.nextSeq ?? 0))
  if (behind.length === 0) return { holes: new Map(), stored: new Map() }

  const holes = await recallHoles(db, behind)
  const wanted = new Map<string, { readonly epoch: Epoch; readonly seq: number }>()
  for (const { epoch, seq } of behind) {
    const late = holeAt(holes.get(epoch) ?? [], seq) !== undefined
    for (const at of late ? [seq - 1, seq, seq + 1] : [seq])
      wanted.set(decisionId({ epoch, seq: at }), { epoch, seq: at })
  }
  const places = await placesOf(db, [...wanted.values()])
  const stored = new Map<string, StoredRecord>()
  for (const shard of new Set([...places.values()].map((place) => place.shard))) {
    const here = [...places].filter(([, place]) => place.shard === shard)
    const leaves = await readLeaves(
      db,
      shard,
      here.map(([, { index }]) => index),
    )
    for (const [i, [id]] of here.entries()) {
      const { bytes } = leaves[i]!
      const parsed = parseEvent(bytes)
      stored.set(id, {
        hash: toHex(leafHash(sha256, bytes)),
        prev: 'event' in parsed ? parsed.event.prev : undefined,
      })
    }
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
