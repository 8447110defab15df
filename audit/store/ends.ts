/** How decisions ended, for those who have the decisions. */

import { decisionId, type Epoch } from '../../core/record.ts'
import { type SQL, sql } from './drizzle.ts'
import { bucketSize } from './rows.ts'
import type { Db, OutcomeRow, RecordRow } from './schema.ts'
import { rowsOf } from './sql.ts'

/** Joins the view `outcomes` to `records`. By epoch and number alone, PostgreSQL would unpack every outcome there is. */
export const ofRecord: SQL = sql`"outcomes"."run_id" = "records"."run_id"
  and "outcomes"."bucket" = "records"."seq" / ${sql.raw(String(bucketSize))} and "outcomes"."seq" = "records"."seq"`

export type End = Pick<OutcomeRow, 'code' | 'status' | 'durationUs' | 'upstream' | 'attempts' | 'stopped'>

/** By decision id, of those whose end was told. */
export async function endsOf(
  db: Db,
  decisions: readonly Pick<RecordRow, 'epoch' | 'seq'>[],
): Promise<ReadonlyMap<string, End>> {
  if (decisions.length === 0) return new Map()
  const wanted = JSON.stringify(decisions.map(({ epoch, seq }) => ({ epoch, seq })))
  const rows = await rowsOf<{ [column: string]: unknown }>(
    db.execute(sql`select w.epoch, w.seq, o.code, o.status, o.duration_us, o.upstream, o.attempts, o.stopped
      from json_to_recordset(${wanted}::json) as w(epoch text, seq bigint)
      join runs u on u.epoch = w.epoch
      cross join lateral (
        select * from outcomes o where o.run_id = u.id and o.bucket = w.seq / ${sql.raw(String(bucketSize))}
          and o.seq = w.seq limit 1
      ) o`),
  )
  const ends = new Map<string, End>()
  for (const row of rows) {
    ends.set(decisionId({ epoch: row['epoch'] as Epoch, seq: Number(row['seq']) }), {
      code: String(row['code']),
      status: Number(row['status']),
      durationUs: Number(row['duration_us']),
      upstream: String(row['upstream']),
      attempts: row['attempts'] as string[] | null,
      stopped: row['stopped'] as string | null,
    })
  }
  return ends
}
