/** What the answers to canned questions have in common. */

import { type SQL, sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'

/** What one question found; `canned` makes an answer of it. */
export interface Found {
  /** As the store has them; more than were asked for where there are more. */
  readonly rows: readonly Row[]
  readonly notes?: readonly string[]
  readonly ok?: boolean
}

export type Row = { readonly [column: string]: unknown }

/** As a parameter that PostgreSQL reads as a time, whatever the function's overloads. */
export const time = (ms: number): SQL => sql`${new Date(ms).toISOString()}::timestamptz`

export async function rowsFrom(db: Db, query: SQL): Promise<readonly Row[]> {
  return ((await db.execute(query)) as unknown as { readonly rows: readonly Row[] }).rows
}
