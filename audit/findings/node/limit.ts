/** Which of the findings are taken in: not those that are quiet or known, and not more than an hour takes. */

import type { FindingBody } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { rowsOf } from '../../store/sql.ts'
import { suppressedFinding } from '../bodies.ts'
import { type FindingSettings, isQuiet } from '../settings.ts'
import { hourOf } from '../spike.ts'
import type { Told } from './judge.ts'
import { addCount, keepFindings, unknownKeys } from './keep.ts'

const hour = 3_600_000
const maxTold = 10_000

interface LimitParts {
  readonly nowMs: number
  readonly began: number
  readonly settings: FindingSettings
  readonly told: Told
}

export async function takeIn(
  tx: Db,
  shard: number,
  found: readonly FindingBody[],
  { nowMs, began, settings, told }: LimitParts,
): Promise<void> {
  const loud = found.filter((one) => !told.has(one.key) && !isQuiet(one, shownAt(one, nowMs), began, settings))
  const unknown = await unknownKeys(
    tx,
    loud.map(({ key }) => key),
  )
  // Only what is in the store for good, whatever becomes of this transaction.
  for (const { key } of loud) if (!unknown.has(key)) remember(told, key, nowMs)
  const fresh = loud.filter(({ key }, i) => unknown.has(key) && loud.findIndex((one) => one.key === key) === i)
  await keepFindings(tx, shard, await suppressedOf(tx, hourOf(nowMs)), nowMs)
  if (fresh.length === 0) return
  const [row] = await rowsOf<{ count: string }>(
    tx.execute(sql`select count(*) as count from findings where found_ms > ${nowMs - hour}`),
  )
  const room = Math.max(0, settings.maxPerHour - Number(row?.count ?? 0))
  // The grave ones first, where not all have room.
  const order = { high: 0, medium: 1, low: 2, info: 3 }
  const sorted = room >= fresh.length ? fresh : fresh.toSorted((a, b) => order[a.severity] - order[b.severity])
  await keepFindings(tx, shard, sorted.slice(0, room), nowMs)
  const over = sorted.slice(room)
  if (over.length > 0) await addCount(tx, `suppressed ${hourOf(nowMs)}`, over.length)
  for (const { key } of over) remember(told, key, nowMs) // So that each is counted once.
}

/** A grant is unused now, whenever it was used last: that may have been while the mesh was learnt. */
const shownAt = ({ finding, last_at }: FindingBody, nowMs: number): number =>
  finding === 'unused_grant' ? nowMs : Date.parse(last_at)

/** Of hours that are over. */
async function suppressedOf(tx: Db, nowHour: number): Promise<readonly FindingBody[]> {
  const rows = await rowsOf<{ name: string; count: string }>(
    tx.execute(sql`delete from finding_counts where name like 'suppressed %' and name <> ${`suppressed ${nowHour}`}
      returning name, count`),
  )
  return rows.map(({ name, count }) => suppressedFinding(Number(name.slice('suppressed '.length)), Number(count)))
}

function remember(told: Told, key: string, nowMs: number): void {
  told.set(key, nowMs)
  if (told.size > maxTold) told.delete(told.keys().next().value!)
}
