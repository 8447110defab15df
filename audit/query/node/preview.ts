/** Reads what a caller was let do in a window. */

import { and, count, desc, eq, gte, lt, max, sql } from '../../store/drizzle.ts'
import { type Db, records } from '../../store/schema.ts'
import { foldReached, type Preview } from '../preview.ts'
import { isoTime } from './find.ts'

/** Distinct targets, methods and paths that are read. */
const maxRows = 20_000

/** Counted where they arrived, so that a call is counted once; calls to outside the mesh are not in it. */
export async function previewOf(db: Db, caller: string, fromMs: number, toMs: number): Promise<Preview> {
  const rows = await db
    .select({
      target: records.target,
      method: records.method,
      path: records.path,
      count: count(),
      last: max(records.at),
    })
    .from(records)
    .where(
      and(
        eq(records.kind, 'decision'),
        eq(records.caller, caller),
        eq(records.verdict, 'allow'),
        eq(records.direction, 'inbound'),
        sql`${records.enforced} is not false`,
        gte(records.at, new Date(fromMs).toISOString()),
        lt(records.at, new Date(toMs).toISOString()),
      ),
    )
    .groupBy(records.target, records.method, records.path)
    .orderBy(desc(count()))
    .limit(maxRows + 1)
  const { reached, truncated } = foldReached(
    rows.slice(0, maxRows).map((row) => ({ ...row, last: isoTime(row.last ?? '') })),
  )
  const total = rows.slice(0, maxRows).reduce((sum, row) => sum + row.count, 0)
  return { caller, fromMs, toMs, reached, total, truncated: truncated || rows.length > maxRows }
}
