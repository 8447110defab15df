/** What each compliance check says now, and how it came to: of the findings that tell of a turn. */

import type { MeasuredVerdict } from '../../../core/compliance.ts'
import type { FindingBody } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { rowsOf } from '../../store/sql.ts'

export interface CheckTurn {
  /** Id of its entry; undefined where it is not written yet. */
  readonly id: string | undefined
  /** RFC 3339: the end of the time that was looked at. */
  readonly at: string
  readonly was: MeasuredVerdict
  readonly is: MeasuredVerdict
  readonly accepted: boolean
  readonly finding: string
  /** Ids of records that broke it, five at most. */
  readonly records: readonly string[]
  readonly checkpoints: readonly { readonly origin: string; readonly size: number; readonly root: string }[]
}

export interface CheckStatus {
  readonly check: string
  readonly title: string
  /** Newest first; the first is how it stands. */
  readonly turns: readonly CheckTurn[]
}

/** Turns that are told of all checks together. */
const maxTurns = 2000

/** By id. A check that is not there never had enough to tell. */
export async function checksIn(db: Db): Promise<readonly CheckStatus[]> {
  // The newest of each, however long ago; of the others as many as are told.
  const rows = await rowsOf<{ id: string | null; body: string }>(
    db.execute(sql`select id, body from findings where number in (
        select max(number) from findings where key like 'check_turned %' group by split_part(key, ' ', 2)
        union (select number from findings where key like 'check_turned %' order by number desc limit ${maxTurns}))
      order by number desc`),
  )
  const checks = new Map<string, { readonly check: string; readonly title: string; readonly turns: CheckTurn[] }>()
  for (const { id, body } of rows) {
    const { subject, facts, last_at, evidence } = JSON.parse(body) as FindingBody
    const { title, was, is, accepted, finding, checkpoints } = facts as unknown as CheckTurn & { title: string }
    const known = checks.get(subject) ?? { check: subject, title, turns: [] }
    checks.set(subject, known)
    known.turns.push({ id: id ?? undefined, at: last_at, was, is, accepted, finding, records: evidence, checkpoints })
  }
  return [...checks.values()].sort((a, b) => (a.check < b.check ? -1 : 1))
}
