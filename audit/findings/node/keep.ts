/** Sums go into their tables, and come back as what is new: SQL that PostgreSQL and PGlite take alike. */

import type { FindingBody } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { rowsOf } from '../../store/sql.ts'
import type { Mix } from '../mix.ts'
import type { EdgeSum, HourSum, MixSum } from '../tally.ts'

/** Operations of one caller that are told apart; a caller that makes up paths has one more for all others. */
const maxOperations = 1000
export const otherOperation = '…'

/** Moves the cursor, or gives false where somebody else has moved it. First in its transaction: the row stays locked. */
export async function moveCursor(tx: Db, shard: number, from: number, to: number): Promise<boolean> {
  const moved = await rowsOf(
    tx.execute(
      from === 0
        ? sql`insert into finding_cursors (shard, next_index) values (${shard}, ${to})
            on conflict (shard) do update set next_index = excluded.next_index
            where finding_cursors.next_index = 0 returning shard`
        : sql`update finding_cursors set next_index = ${to} where shard = ${shard} and next_index = ${from} returning shard`,
    ),
  )
  return moved.length === 1
}

export async function cursorOf(db: Db, shard: number): Promise<number> {
  const [row] = await rowsOf<{ next_index: string }>(
    db.execute(sql`select next_index from finding_cursors where shard = ${shard}`),
  )
  return Number(row?.next_index ?? 0)
}

export interface NewEdges {
  readonly edges: readonly EdgeSum[]
  /** Whether the caller used anything of this target before. */
  readonly knownTarget: boolean
}

/** Adds up edges, and gives those that were not there, by caller and target. */
export async function keepEdges(tx: Db, sums: readonly EdgeSum[]): Promise<readonly NewEdges[]> {
  if (sums.length === 0) return []
  const list = JSON.stringify(sums.map(({ caller, target, operation }) => ({ caller, target, operation })))
  const known = await rowsOf<{ caller: string; target: string; operation: string }>(
    tx.execute(sql`select e.caller, e.target, e.operation from edges_first_seen e
      join json_to_recordset(${list}::json) as r(caller text, target text, operation text)
      on e.caller = r.caller and e.target = r.target and e.operation = r.operation`),
  )
  const seen = new Set(known.map(({ caller, target, operation }) => `${caller}\n${target}\n${operation}`))
  const fresh = sums.filter(({ caller, target, operation }) => !seen.has(`${caller}\n${target}\n${operation}`))
  const { used, counts } = await usedBy(tx, fresh)
  const kept = new Map<string, EdgeSum>()
  const groups = new Map<string, { edges: EdgeSum[]; knownTarget: boolean }>()
  for (const sum of sums) {
    const { caller, target } = sum
    const isNew = !seen.has(`${caller}\n${target}\n${sum.operation}`)
    const full = isNew && (counts.get(caller) ?? 0) >= maxOperations
    const edge = full ? { ...sum, operation: otherOperation } : sum
    const key = `${caller}\n${target}\n${edge.operation}`
    const before = kept.get(key)
    if (before) {
      before.count += edge.count
      before.lastMs = Math.max(before.lastMs, edge.lastMs)
    } else kept.set(key, full ? edge : { ...edge })
    if (!isNew || full) continue
    counts.set(caller, (counts.get(caller) ?? 0) + 1)
    const group = groups.get(`${caller}\n${target}`)
    if (group) group.edges.push(edge)
    else groups.set(`${caller}\n${target}`, { edges: [edge], knownTarget: used.has(`${caller}\n${target}`) })
  }
  await tx.execute(sql`insert into edges_first_seen (caller, target, operation, first_ms, last_ms, count, first_id)
    select r.caller, r.target, r.operation, r."firstMs", r."lastMs", r.count, r."firstId"
    from json_to_recordset(${JSON.stringify([...kept.values()])}::json) as r(caller text, target text,
      operation text, "firstMs" bigint, "lastMs" bigint, count bigint, "firstId" text)
    on conflict (caller, target, operation) do update set count = edges_first_seen.count + excluded.count,
      last_ms = greatest(edges_first_seen.last_ms, excluded.last_ms),
      first_ms = least(edges_first_seen.first_ms, excluded.first_ms)`)
  return [...groups.values()]
}

/** How much the callers of new edges use already, and of whom. */
async function usedBy(tx: Db, fresh: readonly EdgeSum[]) {
  const used = new Set<string>()
  const counts = new Map<string, number>()
  if (fresh.length === 0) return { used, counts }
  const callers = JSON.stringify([...new Set(fresh.map(({ caller }) => caller))])
  const rows = await rowsOf<{ caller: string; target: string; operations: string }>(
    tx.execute(sql`select caller, target, count(*) as operations from edges_first_seen
      where caller in (select json_array_elements_text(${callers}::json)) group by caller, target`),
  )
  for (const { caller, target, operations } of rows) {
    used.add(`${caller}\n${target}`)
    counts.set(caller, (counts.get(caller) ?? 0) + Number(operations))
  }
  return { used, counts }
}

/** Adds up hours, and gives how many denials each has now. */
export async function keepHours(tx: Db, sums: readonly HourSum[]): Promise<ReadonlyMap<string, number>> {
  if (sums.length === 0) return new Map()
  const list = JSON.stringify(sums.map(({ caller, hour, allowed, denied }) => ({ caller, hour, allowed, denied })))
  const rows = await rowsOf<{ caller: string; hour: string; denied: string }>(
    tx.execute(sql`insert into finding_hours (caller, hour, allowed, denied)
      select * from json_to_recordset(${list}::json) as r(caller text, hour bigint, allowed bigint, denied bigint)
      on conflict (caller, hour) do update set allowed = finding_hours.allowed + excluded.allowed,
        denied = finding_hours.denied + excluded.denied
      returning caller, hour, denied`),
  )
  return new Map(rows.map(({ caller, hour, denied }) => [`${caller}\n${Number(hour)}`, Number(denied)]))
}

/** Denials of a caller by hour, of five weeks. */
export async function deniedHours(tx: Db, caller: string, nowHour: number): Promise<ReadonlyMap<number, number>> {
  const rows = await rowsOf<{ hour: string; denied: string }>(
    tx.execute(sql`select hour, denied from finding_hours
      where caller = ${caller} and hour >= ${nowHour - 5 * 168} and hour < ${nowHour} and denied > 0`),
  )
  return new Map(rows.map(({ hour, denied }) => [Number(hour), Number(denied)]))
}

export async function keepMix(tx: Db, sums: readonly MixSum[]): Promise<void> {
  if (sums.length === 0) return
  await tx.execute(sql`insert into finding_mix (caller, day, target, operation, count)
    select r.caller, r.day, r.target, case when exists (select from edges_first_seen e where e.caller = r.caller
      and e.target = r.target and e.operation = r.operation) then r.operation else ${otherOperation} end, sum(r.count)
    from json_to_recordset(${JSON.stringify(sums)}::json)
      as r(caller text, day bigint, target text, operation text, count bigint)
    group by 1, 2, 3, 4
    on conflict (caller, day, target, operation) do update set count = finding_mix.count + excluded.count`)
}

/** What a caller asks on a day, and what it asked on the two weeks before. */
export async function mixesOf(
  db: Db,
  caller: string,
  day: number,
): Promise<{ readonly today: Mix; readonly before: Mix; readonly days: number }> {
  const rows = await rowsOf<{ day: string; target: string; operation: string; count: string }>(
    db.execute(sql`select day, target, operation, count from finding_mix
      where caller = ${caller} and day <= ${day} and day >= ${day - 14}`),
  )
  const today = new Map<string, number>()
  const before = new Map<string, number>()
  const days = new Set<number>()
  for (const row of rows) {
    const mix = Number(row.day) === day ? today : before
    if (mix === before) days.add(Number(row.day))
    const key = `${row.operation} on ${row.target}`
    mix.set(key, (mix.get(key) ?? 0) + Number(row.count))
  }
  return { today, before, days: days.size }
}

/** Findings wait for their entry; one that is known already is none. Gives how many are new. */
export async function keepFindings(
  tx: Db,
  shard: number,
  bodies: readonly FindingBody[],
  foundMs: number,
): Promise<number> {
  if (bodies.length === 0) return 0
  const list = JSON.stringify(bodies.map((body) => ({ key: body.key, body: JSON.stringify(body) })))
  const kept = await rowsOf(
    tx.execute(sql`insert into findings (key, shard, found_ms, body)
      select r.key, ${shard}, ${foundMs}, r.body from json_to_recordset(${list}::json) as r(key text, body text)
      on conflict (key) do nothing returning key`),
  )
  return kept.length
}

/** Which of these are not known yet. */
export async function unknownKeys(tx: Db, keys: readonly string[]): Promise<ReadonlySet<string>> {
  if (keys.length === 0) return new Set()
  const rows = await rowsOf<{ key: string }>(
    tx.execute(sql`select w.key from json_array_elements_text(${JSON.stringify(keys)}::json) as w(key)
      where not exists (select from findings f where f.key = w.key)`),
  )
  return new Set(rows.map(({ key }) => key))
}

export async function addCount(tx: Db, name: string, count: number): Promise<void> {
  await tx.execute(sql`insert into finding_counts (name, count) values (${name}, ${count})
    on conflict (name) do update set count = finding_counts.count + excluded.count`)
}
