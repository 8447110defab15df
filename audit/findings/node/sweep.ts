/** What is looked at once in a while: mixes, edges that nobody uses, and rows that are too old to count. */

import type { FindingBody } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { rowsOf } from '../../store/sql.ts'
import { mixFinding, type UnusedEdge, unusedFinding } from '../bodies.ts'
import { movedMix } from '../mix.ts'
import type { FindingSettings } from '../settings.ts'
import { hourOf } from '../spike.ts'
import { mixesOf } from './keep.ts'

const day = 24 * 3_600_000

/** Callers, each with the day that it last asked anything on. */
export async function judgeMixes(
  tx: Db,
  callers: readonly (readonly [string, number])[],
  settings: FindingSettings,
): Promise<readonly FindingBody[]> {
  const found: FindingBody[] = []
  for (const [caller, today] of callers) {
    const mixes = await mixesOf(tx, caller, today)
    const moved = movedMix(mixes.today, mixes.before, mixes.days, settings)
    if (!moved) continue
    const count = [...mixes.today.values()].reduce((sum, one) => sum + one, 0)
    found.push(mixFinding(caller, today, count, moved))
  }
  return found
}

/** Edges of one look; the others have their turn when these were told. */
const maxUnused = 2000

/** An edge is told once until it is used again. */
export async function judgeUnused(tx: Db, nowMs: number, settings: FindingSettings): Promise<readonly FindingBody[]> {
  const rows = await rowsOf<{ caller: string; target: string; operation: string; count: string; last_ms: string }>(
    tx.execute(sql`select caller, target, operation, count, last_ms from edges_first_seen
      where last_ms < ${nowMs - settings.unusedMs} and coalesce(unused_told_ms, 0) <= last_ms
      order by caller, target, last_ms limit ${maxUnused}`),
  )
  const told = JSON.stringify(rows.map(({ caller, target, operation }) => ({ caller, target, operation })))
  if (rows.length > 0) {
    await tx.execute(sql`update edges_first_seen e set unused_told_ms = ${nowMs}
      from json_to_recordset(${told}::json) as r(caller text, target text, operation text)
      where e.caller = r.caller and e.target = r.target and e.operation = r.operation`)
  }
  const groups = new Map<string, { caller: string; target: string; edges: UnusedEdge[] }>()
  for (const { caller, target, operation, count, last_ms } of rows) {
    const key = `${caller}\n${target}\n${Math.floor(Number(last_ms) / day)}`
    const edge = { operation, count: Number(count), lastMs: Number(last_ms) }
    const group = groups.get(key)
    if (group) group.edges.push(edge)
    else groups.set(key, { caller, target, edges: [edge] })
  }
  const days = Math.round(settings.unusedMs / day)
  return [...groups.values()].map(({ caller, target, edges }) => unusedFinding(caller, target, edges, days))
}

/** Five weeks of hours and two of days are what judgement asks for. */
export async function prune(tx: Db, nowMs: number): Promise<void> {
  const now = hourOf(nowMs)
  await tx.execute(sql`delete from finding_hours where hour < ${now - 6 * 168}`)
  await tx.execute(sql`delete from finding_mix where day < ${Math.floor(now / 24) - 16}`)
}
