/** Findings as they stand in the store, newest first, with who looked at them. */

import type { FindingBody } from '../../../core/record.ts'
import type { FoundEntry } from '../../findings/ocsf.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { rowsOf } from '../../store/sql.ts'

export interface FindingsAnswer {
  readonly findings: readonly FoundEntry[]
  /** What was not sent, or not written: `dropped webhook`, `suppressed 500000`. */
  readonly counts: Readonly<Record<string, number>>
}

export const maxFindings = 1000

export interface FindingsAsked {
  /** Only those that nobody acknowledged. */
  readonly open?: boolean
  /** Also those that only inform. */
  readonly all?: boolean
  readonly limit?: number
  /** This one, whatever it is. */
  readonly id?: string
}

export async function findingsIn(
  db: Db,
  { open = false, all = false, limit = 100, id }: FindingsAsked,
): Promise<FindingsAnswer> {
  interface Row {
    readonly id: string
    readonly found_ms: string
    readonly body: string
    readonly acknowledged_by: string | null
    readonly acknowledged_note: string | null
    readonly acknowledged_ms: string | null
  }
  const rows = await rowsOf<Row>(
    db.execute(sql`select id, found_ms, body, acknowledged_by, acknowledged_note, acknowledged_ms from findings
      where id is not null ${open ? sql`and acknowledged_id is null` : sql``}
        ${all || id !== undefined ? sql`` : sql`and body::json ->> 'severity' is distinct from 'info'`}
        ${id === undefined ? sql`` : sql`and id = ${id}`}
      order by number desc limit ${Math.min(limit, maxFindings)}`),
  )
  const counts = await rowsOf<{ name: string; count: string }>(db.execute(sql`select name, count from finding_counts`))
  return {
    findings: rows.map((row) => ({
      id: row.id,
      foundMs: Number(row.found_ms),
      body: JSON.parse(row.body) as FindingBody,
      ...(row.acknowledged_by !== null && {
        acknowledged: { by: row.acknowledged_by, note: row.acknowledged_note ?? '', atMs: Number(row.acknowledged_ms) },
      }),
    })),
    counts: Object.fromEntries(counts.map(({ name, count }) => [name, Number(count)])),
  }
}
