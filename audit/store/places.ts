/** Where records are in the log, by their ids. */

import { decisionId, type Epoch } from '../../core/record.ts'
import { sql } from './drizzle.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'

export interface Place {
  readonly shard: number
  readonly index: number
}

/** Numbers of one run that one transaction brought. */
interface Span {
  readonly epoch: string
  readonly run: number
  readonly first_seq: string
  readonly last_seq: string
  readonly shard: number
  readonly first: string
  readonly last: string
  readonly first_at: string
  readonly last_at: string
}

/** By decision id, those that are in the log. */
export async function placesOf(
  db: Db,
  ids: readonly { readonly epoch: string; readonly seq: number }[],
): Promise<ReadonlyMap<string, Place>> {
  const places = new Map<string, Place>()
  if (ids.length === 0) return places
  const wanted = new Set(ids.map(({ epoch, seq }) => decisionId({ epoch: epoch as Epoch, seq })))
  for (const span of await spansOver(db, ids)) {
    const { epoch, run, shard } = span
    // One record in a span's only place needs no look at its row.
    if (span.first === span.last) {
      places.set(decisionId({ epoch: epoch as Epoch, seq: Number(span.first_seq) }), {
        shard,
        index: Number(span.first),
      })
      continue
    }
    const rows = await rowsOf<{ seq: string; index: string }>(
      db.execute(sql`select seq, index from rows where shard = ${shard} and run = ${run}
        and at between ${span.first_at} and ${span.last_at} and index between ${span.first} and ${span.last}`),
    )
    for (const { seq, index } of rows) {
      const id = decisionId({ epoch: epoch as Epoch, seq: Number(seq) })
      if (wanted.has(id)) places.set(id, { shard, index: Number(index) })
    }
  }
  return places
}

/** Spans that hold one of the numbers, each once. */
async function spansOver(
  db: Db,
  ids: readonly { readonly epoch: string; readonly seq: number }[],
): Promise<readonly Span[]> {
  const list = JSON.stringify(ids.map(({ epoch, seq }) => ({ epoch, seq })))
  return rowsOf<Span>(
    db.execute(sql`select distinct w.epoch, s.run, s.first_seq, s.last_seq, s.shard, s.first, s.last,
        s.first_at::text as first_at, s.last_at::text as last_at
      from json_to_recordset(${list}::json) as w(epoch text, seq bigint)
      join runs u on u.epoch = w.epoch
      cross join lateral (
        select * from spans s where s.run = u.id and s.first_seq <= w.seq order by s.first_seq desc limit 1
      ) s
      where s.last_seq >= w.seq`),
  )
}
