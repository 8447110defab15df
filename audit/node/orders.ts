/**
 * What somebody asks the auditor of a partition to write into its log: a hold, a pruning, a call that one side left out.
 * It stands in the store until it is written.
 */

import { WritError } from '../../core/fault.ts'
import type { AuditEvent, LogBody, LogHoldBody, UnmatchedBody } from '../../core/record.ts'
import { type Hold, holdOf } from '../keep/hold.ts'
import type { ArrivedRecord } from '../store/arrival.ts'
import { sql } from '../store/drizzle.ts'
import type { Db } from '../store/schema.ts'
import { rowsOf } from '../store/sql.ts'
import { isAuditor } from '../verify/records.ts'
import type { Store } from './store.ts'

export interface Order {
  readonly id: number
  readonly body: OrderBody
}

export type OrderBody = LogBody | UnmatchedBody

/** Orders taken at a time; the rest comes with the next checkpoint. */
const ordersAtOnce = 64

export async function addOrder(db: Db, partition: number, body: OrderBody): Promise<number> {
  const [row] = await rowsOf<{ id: string }>(
    db.execute(sql`insert into orders (partition, body) values (${partition}, ${JSON.stringify(body)}) returning id`),
  )
  return Number(row!.id)
}

export async function openOrders(db: Db, partition: number): Promise<readonly Order[]> {
  const rows = await rowsOf<{ id: string; body: string }>(
    db.execute(sql`select id, body from orders where partition = ${partition} and index is null
      order by id limit ${ordersAtOnce}`),
  )
  return rows.map(({ id, body }) => ({ id: Number(id), body: JSON.parse(body) as OrderBody }))
}

/** How many wait to be written, of all partitions. */
export async function countOpenOrders(db: Db): Promise<number> {
  const [row] = await rowsOf<{ open: string }>(db.execute(sql`select count(*) as open from orders where index is null`))
  return Number(row!.open)
}

export async function orderWritten(tx: Db, id: number, shard: number, index: number): Promise<void> {
  await tx.execute(sql`update orders set shard = ${shard}, index = ${index} where id = ${id}`)
}

export async function placeOf(
  db: Db,
  id: number,
): Promise<{ readonly shard: number; readonly index: number } | undefined> {
  const [row] = await rowsOf<{ shard: number | null; index: string | null }>(
    db.execute(sql`select shard, index from orders where id = ${id}`),
  )
  return row?.index == null ? undefined : { shard: Number(row.shard), index: Number(row.index) }
}

/** Holds from the moment that it is stored; the auditor writes the entry. Throws `usage` where the case is held already. */
export async function setHold(store: Store, body: LogHoldBody): Promise<number> {
  return store.transaction(async (tx) => {
    const made = await rowsOf(
      tx.execute(sql`insert into holds (name, body, lifted) values (${body.case}, ${JSON.stringify(body)}, false)
        on conflict (name) do nothing returning name`),
    )
    if (made.length === 0) {
      throw new WritError('usage', `there is a hold ${body.case} already`, {
        cure: 'name each case once; `hold list` has them',
      })
    }
    return addOrder(tx, 0, body)
  })
}

export async function liftHold(store: Store, name: string, by: string, reason: string): Promise<number> {
  return store.transaction(async (tx) => {
    const lifted = await rowsOf(
      tx.execute(sql`update holds set lifted = true where name = ${name} and not lifted returning name`),
    )
    if (lifted.length === 0)
      throw new WritError('not_found', `no hold ${name}`, { cure: '`writ audit hold list` has them' })
    return addOrder(tx, 0, { kind: 'log', action: 'lifted', case: name, by, reason })
  })
}

/** A hold is in force again, unless it was lifted since. Only the auditor's own word counts. */
export async function readmitHolds(tx: Db, entries: readonly ArrivedRecord[]): Promise<void> {
  for (const { event } of entries) {
    if (event.kind !== 'log' || !isAuditor(event.producer)) continue
    const body = event as AuditEvent<LogBody>
    if (body.action === 'held' || body.action === 'lifted') await readmitHold(tx, bodyOf(body))
  }
}

/** The order as it was given, without the envelope of its record. */
function bodyOf({ kind, action, case: name, filter, from, until, by, reason }: AuditEvent<LogHoldBody>): LogHoldBody {
  return {
    ...{ kind, action, case: name, by, reason },
    ...(filter !== undefined && { filter }),
    ...(from !== undefined && { from }),
    ...(until !== undefined && { until }),
  }
}

async function readmitHold(tx: Db, body: LogHoldBody): Promise<void> {
  if (body.action === 'lifted') {
    await tx.execute(sql`update holds set lifted = true where name = ${body.case}`)
    return
  }
  await tx.execute(sql`insert into holds (name, body, lifted) values (${body.case}, ${JSON.stringify(body)}, false)
    on conflict (name) do nothing`)
}

export interface ListedHold {
  readonly body: LogHoldBody
  readonly lifted: boolean
}

export async function listHolds(db: Db): Promise<readonly ListedHold[]> {
  const rows = await rowsOf<{ body: string; lifted: boolean }>(
    db.execute(sql`select body, lifted from holds order by name`),
  )
  return rows.map(({ body, lifted }) => ({ body: JSON.parse(body) as LogHoldBody, lifted }))
}

export const activeHolds = async (db: Db): Promise<readonly Hold[]> =>
  (await listHolds(db)).filter(({ lifted }) => !lifted).map(({ body }) => holdOf(body))
