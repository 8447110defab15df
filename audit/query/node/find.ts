/**
 * Finds decisions, newest first. Each shard is read backwards, range by range, so that a page costs what it shows and not
 * what the table holds; the shards' pages are then merged by time.
 */

import { and, desc, eq, gte, inArray, like, lt, max, or, type SQL, sql } from 'drizzle-orm'
import { decisionId, type Epoch, type EventKind, parseDecisionId } from '../../../core/record.ts'
import { idHex } from '../../store/copy.ts'
import { endsOf } from '../../store/ends.ts'
import { checkpoints, type Db, epochs, records } from '../../store/schema.ts'
import type { Answer, DecisionRow } from '../answer.ts'
import { type Cursor, defaultLimit, maxLimit, type Question, writeCursor } from '../ask.ts'
import { toldAt } from './told.ts'
import { backwards, windowOf } from './windows.ts'

export async function findDecisions(db: Db, question: Question): Promise<Answer> {
  const limit = Math.min(question.limit ?? defaultLimit, maxLimit)
  const pages = new Map<number, readonly DecisionRow[]>()
  for (const shard of await shardsOf(db)) {
    const below = question.cursor ? question.cursor.get(shard) : undefined
    pages.set(shard, await pageOf(db, question, shard, below, limit + 1))
  }
  return merge(pages, question.cursor, limit)
}

/** The newest decisions of all. */
export async function latest(db: Db, limit: number): Promise<readonly DecisionRow[]> {
  return (await findDecisions(db, { limit })).rows
}

export async function shardsOf(db: Db): Promise<readonly number[]> {
  const rows = await db.selectDistinct({ shard: epochs.shard }).from(epochs).orderBy(epochs.shard)
  return rows.map(({ shard }) => shard)
}

/** Takes the newest of the shards' next rows until the page is full; within a shard the log's own order holds. */
function merge(pages: ReadonlyMap<number, readonly DecisionRow[]>, from: Cursor | undefined, limit: number): Answer {
  const taken = new Map([...pages.keys()].map((shard) => [shard, 0]))
  const rows: DecisionRow[] = []
  const heads = (): DecisionRow[] => [...pages].flatMap(([shard, page]) => page[taken.get(shard)!] ?? [])
  while (rows.length < limit) {
    const head = heads().reduce<DecisionRow | undefined>((a, b) => (a && a.time >= b.time ? a : b), undefined)
    if (!head) break
    rows.push(head)
    taken.set(head.shard, taken.get(head.shard)! + 1)
  }
  if (heads().length === 0) return { rows, next: null }
  const cursor = new Map(from)
  for (const row of rows) cursor.set(row.shard, row.index)
  return { rows, next: writeCursor(cursor) }
}

async function pageOf(
  db: Db,
  question: Question,
  shard: number,
  below: number | undefined,
  limit: number,
): Promise<readonly DecisionRow[]> {
  const size = await coveredSize(db, shard)
  const conditions = [eq(records.shard, shard), ...conditionsOf(question)]
  const rows = await backwards(await windowOf(db, shard, question, below), limit, ({ low, high }, most) =>
    db
      .select({ record: records, attestedSeq: epochs.attestedSeq })
      .from(records)
      .leftJoin(epochs, eq(epochs.epoch, records.epoch))
      .where(and(...conditions, gte(records.index, low), lt(records.index, high)))
      .orderBy(desc(records.index))
      .limit(most),
  )
  const ends = await endsOf(
    db,
    rows.map(({ record }) => record),
  )
  const opa = rows.flatMap(({ record }) => (record.kind === 'opa_decision' ? [record.index] : []))
  const told = await toldAt(db, shard, opa)
  return rows.map(({ record, attestedSeq }) => {
    const id = decisionId({ epoch: record.epoch as Epoch, seq: record.seq })
    const outcome = ends.get(id)
    return {
      id,
      shard: record.shard,
      index: record.index,
      time: isoTime(record.at),
      direction: record.direction ?? '',
      caller: record.caller || null,
      target: record.target || null,
      service: record.service || null,
      method: record.method || null,
      path: record.path || null,
      verdict: record.verdict ?? '',
      code: record.code ?? '',
      enforced: record.enforced ?? true,
      by: record.by,
      bundle: record.bundle,
      revision: record.revision,
      reasons: record.reasons ?? [],
      requestId: record.requestId || null,
      traceId: record.traceId || null,
      sourceAddress: record.sourceAddress || null,
      serial: record.serial || null,
      outcome: outcome?.code ?? null,
      status: outcome?.status ?? null,
      durationUs: outcome?.durationUs ?? null,
      upstream: outcome?.upstream ?? null,
      attested: (attestedSeq ?? -1) >= record.seq,
      covered: record.index < size,
      ...(told.has(record.index) && { told: told.get(record.index)! }),
    }
  })
}

async function coveredSize(db: Db, shard: number): Promise<number> {
  const [row] = await db
    .select({ size: max(checkpoints.size) })
    .from(checkpoints)
    .where(eq(checkpoints.shard, shard))
  return Number(row?.size ?? 0)
}

export function conditionsOf(question: Question): SQL[] {
  const { caller, target, verdict, direction, code, method, path, fromMs, toMs, requestId, revision, id } = question
  const { shadow = id === undefined ? 'no' : 'any', origin = id === undefined ? 'mesh' : 'any' } = question
  const conditions: (SQL | undefined)[] = [inArray(records.kind, kindsBy[origin])]
  if (caller !== undefined) conditions.push(named(records.caller, caller))
  if (target !== undefined) conditions.push(or(named(records.target, target), eq(records.service, target)))
  if (verdict !== undefined) conditions.push(eq(records.verdict, verdict))
  if (direction !== undefined) conditions.push(eq(records.direction, direction))
  if (code !== undefined) conditions.push(eq(records.code, code))
  if (method !== undefined) conditions.push(eq(records.method, method))
  if (path !== undefined) conditions.push(like(records.path, `${literal(path)}%`))
  if (fromMs !== undefined) conditions.push(gte(records.at, new Date(fromMs).toISOString()))
  if (toMs !== undefined) conditions.push(lt(records.at, new Date(toMs).toISOString()))
  if (requestId !== undefined) conditions.push(sql`"records"."request_key" = decode(${idHex(requestId)}, 'hex')`)
  if (revision !== undefined) conditions.push(eq(records.revision, revision))
  if (shadow === 'only') conditions.push(eq(records.enforced, false))
  else if (shadow === 'no') conditions.push(sql`${records.enforced} is not false`)
  if (id !== undefined) {
    const parsed = parseDecisionId(id)
    conditions.push(eq(records.epoch, parsed?.epoch ?? ''), eq(records.seq, parsed?.seq ?? -1))
  }
  return conditions.filter((condition) => condition !== undefined)
}

const kindsBy: Readonly<Record<NonNullable<Question['origin']>, EventKind[]>> = {
  mesh: ['decision'],
  opa: ['opa_decision'],
  any: ['decision', 'opa_decision'],
}

/** A whole id, or the end of an id's path. */
function named(column: typeof records.caller | typeof records.target, name: string): SQL | undefined {
  if (name.startsWith('spiffe://')) return eq(column, name)
  return or(eq(column, name), like(column, `%/${literal(name)}`))
}

/** What LIKE would read as a pattern, as itself. */
const literal = (text: string): string => text.replace(/[\\%_]/g, '\\$&')

/** PostgreSQL's `2026-11-23 17:04:09.1234+00`, in whatever zone the session has, as RFC 3339 in UTC. */
export function isoTime(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d(?::?\d\d)?)$/.exec(text)
  if (!match) return text
  const [, date, clock, fraction, zone] = match
  const offset = zone === 'Z' ? 'Z' : zone!.length === 3 ? `${zone}:00` : zone
  const seconds = new Date(`${date}T${clock}${offset}`).toISOString().slice(0, 19)
  return `${seconds}.${(fraction ?? '').padEnd(6, '0')}Z`
}
