/** Records by their places in the log, whatever days they are of. */

import { decisionId, type Epoch } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { type Row, rowsFrom } from './sql.ts'

export interface Placed {
  readonly id: string
  readonly producer: string
  /** As PostgreSQL writes it. */
  readonly at: string
  readonly path: string | null
}

/** By `shard/index`, those of the rows' places that there are. */
export async function placed(db: Db, rows: readonly Row[]): Promise<ReadonlyMap<string, Placed>> {
  if (rows.length === 0) return new Map()
  const places = JSON.stringify(rows.map(({ shard, index }) => ({ shard, index: Number(index) })))
  const found = await rowsFrom(
    db,
    sql`select f.* from (
        select array_agg(w.shard) as shards, array_agg(w.index) as indexes
        from json_to_recordset(${places}::json) as w(shard integer, index bigint)
      ) w cross join lateral writ_placed(w.shards, w.indexes) f`,
  )
  return new Map(
    found.map(({ shard, index, producer, epoch, seq, at, path }) => [
      `${shard}/${index}`,
      {
        id: decisionId({ epoch: epoch as Epoch, seq: Number(seq) }),
        ...{ producer: String(producer), at: String(at), path: path as string | null },
      },
    ]),
  )
}
