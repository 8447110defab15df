/** Findings on their way to somebody: in the store, so that a restart forgets none, and bounded. */

import type { FindingBody } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { rowsOf } from '../../store/sql.ts'
import { addCount } from './keep.ts'

/** Findings that wait for one sink; then the oldest is dropped and counted. */
export const maxWaiting = 10_000

export interface Delivery {
  readonly number: number
  readonly attempts: number
  readonly id: string
  readonly foundMs: number
  readonly body: FindingBody
}

export async function enqueue(tx: Db, sink: string, numbers: readonly number[]): Promise<void> {
  if (numbers.length === 0) return
  await tx.execute(sql`insert into finding_deliveries (sink, number, attempts)
    select ${sink}, w.number::bigint, 0 from json_array_elements_text(${JSON.stringify(numbers)}::json) as w(number)
    on conflict do nothing`)
  const gone = await rowsOf(
    tx.execute(sql`delete from finding_deliveries where sink = ${sink} and number in (
      select number from finding_deliveries where sink = ${sink} order by number desc offset ${maxWaiting})
      returning number`),
  )
  if (gone.length > 0) await addCount(tx, `dropped ${sink}`, gone.length)
}

/** The oldest that wait, in order. */
export async function waitingFor(db: Db, sink: string, limit: number): Promise<readonly Delivery[]> {
  const rows = await rowsOf<{ number: string; attempts: number; id: string; found_ms: string; body: string }>(
    db.execute(sql`select d.number, d.attempts, f.id, f.found_ms, f.body
      from finding_deliveries d join findings f on f.number = d.number
      where d.sink = ${sink} and f.id is not null order by d.number limit ${limit}`),
  )
  return rows.map(({ number, attempts, id, found_ms, body }) => ({
    number: Number(number),
    attempts: Number(attempts),
    id,
    foundMs: Number(found_ms),
    body: JSON.parse(body) as FindingBody,
  }))
}

export const delivered = async (db: Db, sink: string, number: number): Promise<void> => {
  await db.execute(sql`delete from finding_deliveries where sink = ${sink} and number = ${number}`)
}

export const failedOnce = async (db: Db, sink: string, number: number): Promise<void> => {
  await db.execute(sql`update finding_deliveries set attempts = attempts + 1
    where sink = ${sink} and number = ${number}`)
}

/** One that nobody takes, however often: it is dropped and counted, so that the others go on. */
export async function giveUp(db: Db, sink: string, number: number): Promise<void> {
  await db.transaction(async (tx) => {
    await delivered(tx as unknown as Db, sink, number)
    await addCount(tx as unknown as Db, `dropped ${sink}`, 1)
  })
}
