/** A question as conditions on the store's rows, and on the hourly sums that say where such rows are. */

import { and, eq, gte, inArray, like, lt, or, type SQL, sql } from 'drizzle-orm'
import { type EventKind, parseDecisionId } from '../../../core/record.ts'
import { idHex } from '../../store/copy.ts'
import { ofRecord } from '../../store/ends.ts'
import { outcomes, records } from '../../store/schema.ts'
import type { Question } from '../ask.ts'

const texts = [
  ...(['caller', 'target', 'verdict', 'direction', 'code', 'method', 'path', 'requestId', 'revision'] as const),
  ...(['reason', 'bundle', 'traceId', 'address', 'serial', 'producer', 'outcome'] as const),
]

type TextName = (typeof texts)[number]

export function conditionsOf(question: Question): SQL[] {
  const { fromMs, toMs, id, not = [] } = question
  const { shadow = id === undefined ? 'no' : 'any' } = question
  const kinds = kindsOf(question)
  const conditions: (SQL | undefined)[] = kinds ? [inArray(records.kind, kinds)] : []
  for (const name of texts) if (question[name] !== undefined) conditions.push(named[name](question[name]))
  for (const { name, value } of not) conditions.push(sql`(${named[name as TextName](value)}) is not true`)
  if (fromMs !== undefined) conditions.push(gte(records.at, new Date(fromMs).toISOString()))
  if (toMs !== undefined) conditions.push(lt(records.at, new Date(toMs).toISOString()))
  if (shadow === 'only') conditions.push(eq(records.enforced, false))
  else if (shadow === 'no') conditions.push(sql`${records.enforced} is not false`)
  if (id !== undefined) {
    const parsed = parseDecisionId(id)
    conditions.push(eq(records.epoch, parsed?.epoch ?? ''), eq(records.seq, parsed?.seq ?? -1))
  }
  return conditions.filter((condition) => condition !== undefined)
}

/** Undefined: all. */
function kindsOf({ kind, id, origin = id === undefined ? 'mesh' : 'any' }: Question): EventKind[] | undefined {
  if (kind !== undefined) return kind === 'all' ? undefined : [kind]
  return kindsBy[origin]
}

const kindsBy: Readonly<Record<NonNullable<Question['origin']>, EventKind[]>> = {
  mesh: ['decision'],
  opa: ['opa_decision'],
  any: ['decision', 'opa_decision'],
}

const named: Readonly<Record<TextName, (value: string) => SQL | undefined>> = {
  caller: (value) => nameIs(records.caller, value),
  target: (value) => or(nameIs(records.target, value), eq(records.service, value)),
  verdict: (value) => eq(records.verdict, value),
  direction: (value) => eq(records.direction, value),
  code: (value) => eq(records.code, value),
  method: (value) => eq(records.method, value),
  path: (value) => like(records.path, `${literal(value)}%`),
  requestId: (value) => sql`"records"."request_key" = decode(${idHex(value)}, 'hex')`,
  revision: (value) => eq(records.revision, value),
  reason: (value) => sql`array_to_string(${records.reasons}, ' ') ilike ${`%${literal(value)}%`}`,
  bundle: (value) => eq(records.bundle, value),
  traceId: (value) => sql`"records"."trace_key" = decode(${idHex(value)}, 'hex')`,
  address: (value) => eq(records.sourceAddress, value),
  serial: (value) => eq(records.serial, value),
  producer: (value) => nameIs(records.producer, value),
  outcome: (value) => {
    const is = /^\d{3}$/.test(value) ? eq(outcomes.status, Number(value)) : eq(outcomes.code, value)
    return sql`exists (select 1 from ${outcomes} where ${ofRecord} and ${is})`
  },
}

/** A whole id, or the end of an id's path. */
function nameIs(column: typeof records.caller | typeof records.target | typeof records.producer, name: string): SQL {
  if (name.startsWith('spiffe://')) return eq(column, name)
  return or(eq(column, name), like(column, `%/${literal(name)}`))!
}

/** What LIKE would read as a pattern, as itself. */
const literal = (text: string): string => text.replace(/[\\%_]/g, '\\$&')

/** Columns that the sums have too, by the name of what is asked. */
const summed: Readonly<Partial<Record<TextName, (value: string) => SQL>>> = {
  caller: (value) => sql`writ_named(caller, ${value})`,
  target: (value) => sql`(writ_named(target, ${value}) or service = ${value})`,
  verdict: (value) => sql`verdict = ${value}`,
  code: (value) => sql`code = ${value}`,
  method: (value) => sql`method = ${value}`,
  revision: (value) => sql`revision = ${value}`,
  bundle: (value) => sql`bundle = ${value}`,
}

/**
 * Where in the sums those rows can be; undefined where the sums tell nothing, as they know decisions alone and only some
 * of what is asked.
 */
export function summedConditions(question: Question): SQL | undefined {
  const kinds = kindsOf(question)
  if (question.id !== undefined || kinds?.length !== 1 || kinds[0] !== 'decision') return undefined
  const { fromMs, toMs, direction, shadow = 'no', not = [] } = question
  const conditions: SQL[] = []
  for (const name of texts) {
    const of = summed[name]
    if (question[name] !== undefined && of) conditions.push(of(question[name]))
  }
  for (const { name, value } of not) {
    const of = summed[name as TextName]
    if (of) conditions.push(sql`(${of(value)}) is not true`)
  }
  if (fromMs !== undefined || toMs !== undefined) {
    const [from, to] = [fromMs ?? 0, toMs ?? Number.MAX_SAFE_INTEGER]
    if (fromMs !== undefined)
      conditions.push(sql`hour >= ${new Date(from - (from % hourMs)).toISOString()}::timestamptz`)
    if (toMs !== undefined) conditions.push(sql`hour < ${new Date(to).toISOString()}::timestamptz`)
  }
  if (shadow === 'only') conditions.push(sql`enforced is false`)
  if (conditions.length === 0) return undefined
  if (direction !== undefined) conditions.push(sql`direction = ${direction}`)
  return and(...conditions)
}

const hourMs = 3_600_000
