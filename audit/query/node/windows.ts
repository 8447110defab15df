/**
 * Reads a shard backwards, newest first, a range of indexes at a time: rows have no index that is in order, so each range
 * is read whole and then sorted, and the next one is wider.
 */

import { parseDecisionId } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import { placesOf } from '../../store/places.ts'
import type { Db } from '../../store/schema.ts'
import { rowsOf } from '../../store/sql.ts'
import type { Question } from '../ask.ts'

/** Indexes of a shard, from `low` on and below `high`. */
export interface Window {
  readonly low: number
  readonly high: number
}

const firstWidth = 4096
const widest = 4_194_304

/** `read` gives rows of a window, newest first, at most as many as it is told. */
export async function backwards<Row>(
  { low, high }: Window,
  limit: number,
  read: (window: Window, limit: number) => Promise<readonly Row[]>,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  let width = firstWidth
  for (let top = high; top > low && rows.length < limit; width = Math.min(width * 4, widest)) {
    const bottom = Math.max(low, top - width)
    rows.push(...(await read({ low: bottom, high: top }, limit - rows.length)))
    top = bottom
  }
  return rows
}

/** Where in a shard there can be answers to a question: by its times, by an id, and below where an earlier page ended. */
export async function windowOf(
  db: Db,
  shard: number,
  { id, fromMs, toMs }: Question,
  below: number | undefined,
): Promise<Window> {
  if (id !== undefined) {
    const parsed = parseDecisionId(id)
    const place = parsed && (await placesOf(db, [parsed])).get(id)
    return place?.shard === shard ? { low: place.index, high: place.index + 1 } : { low: 0, high: 0 }
  }
  const from = fromMs === undefined ? sql`` : sql` and last_at >= ${new Date(fromMs).toISOString()}`
  const to = toMs === undefined ? sql`` : sql` and first_at < ${new Date(toMs).toISOString()}`
  const [row] = await rowsOf<{ low: string | null; high: string | null }>(
    db.execute(sql`select min(first) as low, max(last) + 1 as high from batches where shard = ${shard}${from}${to}`),
  )
  const high = Number(row?.high ?? 0)
  return { low: Number(row?.low ?? 0), high: below === undefined ? high : Math.min(below, high) }
}

/** Milliseconds since 1970, both included. */
export interface Times {
  readonly fromMs: number
  readonly toMs: number
}

/** Between which times the records of these indexes are; undefined where there are none. */
export async function timesOf(db: Db, shard: number, first: number, last: number): Promise<Times | undefined> {
  const [row] = await rowsOf<{ from_ms: string | null; to_ms: string | null }>(
    db.execute(sql`select floor(extract(epoch from min(first_at)) * 1000) as from_ms,
        ceil(extract(epoch from max(last_at)) * 1000) as to_ms
      from batches where shard = ${shard} and first <= ${last} and last >= ${first}
        and first >= coalesce((select max(first) from batches where shard = ${shard} and first <= ${first}), 0)`),
  )
  return row?.from_ms == null ? undefined : { fromMs: Number(row.from_ms), toMs: Number(row.to_ms) }
}
