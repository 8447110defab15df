/** What the auditor writes, as SQL that PostgreSQL and PGlite take alike. Rows go in as one JSON parameter a table. */

import { sql } from 'drizzle-orm'
import { toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { logStride } from '../../core/log.ts'
import type { Admitted } from './admit.ts'
import type { ArrivedRecord } from './arrival.ts'
import { outcomeRowsOf, recordRowOf } from './row.ts'
import type { Db, EpochRow, GapRow } from './schema.ts'

/** PostgreSQL's text form of bytea. */
const bytea = (bytes: Uint8Array): string => `\\x${toHex(bytes)}`

/** Rows that a statement with `returning` gave back. Both drivers have them under this name. */
export async function rowsOf<Row>(result: PromiseLike<unknown>): Promise<readonly Row[]> {
  return ((await result) as { readonly rows: readonly Row[] }).rows
}

/**
 * Moves the shard's offset from `from` to `next`, or throws `fenced` where somebody else has moved it. It comes first in
 * the transaction: the row stays locked until the end, so of two owners one waits and then finds it moved.
 */
export async function moveOffset(
  tx: Db,
  shard: number,
  from: string | undefined,
  next: string,
  owner: string,
): Promise<void> {
  const moved = await rowsOf(
    tx.execute(
      from === undefined
        ? sql`insert into offsets (shard, next_offset, owner) values (${shard}, ${next}, ${owner})
            on conflict do nothing returning shard`
        : sql`update offsets set next_offset = ${next}, owner = ${owner}
            where shard = ${shard} and next_offset = ${from} returning shard`,
    ),
  )
  if (moved.length !== 1) throw fenced(shard)
}

export const fenced = (shard: number): WritError =>
  new WritError('fenced', `another auditor has taken partition ${shard}`, {
    cure: 'nothing was written; ask for the next offset again before going on',
  })

/** Leaves, and the rows made from them, from index `size` on. */
export async function insertEntries(
  tx: Db,
  shard: number,
  size: number,
  entries: readonly ArrivedRecord[],
): Promise<void> {
  if (entries.length === 0) return
  const leaves = entries.map(({ hash, bytes }, i) => ({ index: size + i, hash: bytea(hash), bytes: bytea(bytes) }))
  await tx.execute(sql`insert into leaves (shard, index, hash, bytes)
    select ${shard}, r.* from json_to_recordset(${JSON.stringify(leaves)}::json)
      as r(index bigint, hash bytea, bytes bytea)`)
  const records = entries.map(({ event }, i) => ({ index: size + i, ...recordRowOf(event) }))
  await tx.execute(sql`insert into records (shard, index, kind, producer, epoch, seq, at, direction, workload, listener,
      caller, target, service, method, path, verdict, code, by, enforced, bundle, revision, policy_sha256, reasons,
      serial, request_id, trace_id, source_address)
    select ${shard}, r.* from json_to_recordset(${JSON.stringify(records)}::json)
      as r(index bigint, kind text, producer text, epoch text, seq bigint, at timestamptz, direction text,
      workload text, listener text, caller text, target text, service text, method text, path text, verdict text,
      code text, by text, enforced boolean, bundle text, revision text, "policySha256" text, reasons text[],
      serial text, "requestId" text, "traceId" text, "sourceAddress" text)`)
  const outcomes = entries.flatMap(({ event }, i) =>
    outcomeRowsOf(event).map((row) => ({ ...row, shard, index: size + i })),
  )
  if (outcomes.length === 0) return
  // A producer that tells two outcomes of one decision is believed once; both stay in the log.
  await tx.execute(sql`insert into outcomes (epoch, seq, shard, index, code, status, request_bytes, response_bytes,
      duration_us, upstream)
    select * from json_to_recordset(${JSON.stringify(outcomes)}::json)
      as r(epoch text, seq bigint, shard integer, index bigint, code text, status integer, "requestBytes" bigint,
      "responseBytes" bigint, "durationUs" bigint, upstream text)
    on conflict do nothing`)
}

/** An epoch is pinned to its partition: where two partitions meet it first at the same time, the second has to look again. */
export async function upsertEpochs(tx: Db, rows: readonly EpochRow[]): Promise<void> {
  if (rows.length === 0) return
  const given = rows.map((row) => ({ ...row, lastHash: bytea(row.lastHash) }))
  const kept = await rowsOf(
    tx.execute(sql`insert into epochs (epoch, producer, shard, next_seq, last_hash, attested_seq, final, started_at,
        last_at)
      select * from json_to_recordset(${JSON.stringify(given)}::json)
        as r(epoch text, producer text, shard integer, "nextSeq" bigint, "lastHash" bytea, "attestedSeq" bigint,
        final boolean, "startedAt" timestamptz, "lastAt" timestamptz)
      on conflict (epoch) do update set next_seq = excluded.next_seq, last_hash = excluded.last_hash,
        attested_seq = excluded.attested_seq, final = excluded.final, last_at = excluded.last_at, shard = excluded.shard
        where epochs.shard % ${logStride} = excluded.shard % ${logStride} and epochs.producer = excluded.producer
      returning epoch`),
  )
  if (kept.length === rows.length) return
  throw new WritError(
    'store_unavailable',
    'another shard met one of these epochs at the same time; nothing was written',
  )
}

export async function writeGaps(tx: Db, { gone, rows }: Admitted['gaps']): Promise<void> {
  if (gone.length > 0) {
    await tx.execute(sql`delete from gaps using json_to_recordset(${JSON.stringify(gone)}::json)
        as r(epoch text, first bigint) where gaps.epoch = r.epoch and gaps.first = r.first`)
  }
  if (rows.length === 0) return
  await tx.execute(sql`insert into gaps (epoch, first, last, opened_index, closed_index)
    select * from json_to_recordset(${JSON.stringify(rows satisfies readonly GapRow[])}::json)
      as r(epoch text, first bigint, last bigint, "openedIndex" bigint, "closedIndex" bigint)`)
}
