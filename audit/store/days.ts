/** Partitions of days that are over: retention leaves them empty, and each one is read by who plans a question. */

import { sql } from './drizzle.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'

/**
 * Drops those of days before the day of `before` (RFC 3339) that have no row, and gives their names. Waits for three
 * seconds to be alone with both tables: nothing is written meanwhile. For their owner alone.
 */
export async function dropEmptyDays(tx: Db, before: string): Promise<readonly string[]> {
  const days = await rowsOf<{ name: string }>(
    tx.execute(sql`select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent in ('rows'::regclass, 'ends'::regclass) and c.relname ~ '^(rows|ends)_[0-9]{8}$'
        and right(c.relname, 8) < ${before.slice(0, 10).replaceAll('-', '')} order by 1`),
  )
  const seen = await emptyOf(tx, days)
  if (seen.length === 0) return []
  await tx.execute(sql`set local lock_timeout = '3s'`)
  await tx.execute(sql`lock table only rows, only ends in access exclusive mode`)
  const empty = await emptyOf(tx, seen) // A late record may have come.
  for (const { name } of empty) await tx.execute(sql`drop table ${sql.identifier(name)}`)
  return empty.map(({ name }) => name)
}

async function emptyOf<T extends { readonly name: string }>(tx: Db, days: readonly T[]): Promise<readonly T[]> {
  const empty: T[] = []
  for (const day of days) {
    const [row] = await rowsOf(tx.execute(sql`select 1 from ${sql.identifier(day.name)} limit 1`))
    if (!row) empty.push(day)
  }
  return empty
}
