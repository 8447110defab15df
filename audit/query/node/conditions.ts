/** A question as conditions on the store's rows, and on the hourly sums that say where such rows are. */

import { type EventKind, parseDecisionId } from '../../../core/record.ts'
import { idHex } from '../../store/copy.ts'
import { and, eq, gte, inArray, like, lt, or, type SQL, sql } from '../../store/drizzle.ts'
import { ofRecord } from '../../store/ends.ts'
import { outcomes, records } from '../../store/schema.ts'
import type { Question } from '../ask.ts'

const texts = [
  ...(['caller', 'target', 'verdict', 'direction', 'code', 'method', 'path', 'requestId', 'revision'] as const),
  ...(['reason', 'bundle', 'traceId', 'address', 'serial', 'producer', 'outcome'] as const),
]

type TextName = (typeof texts)[number]

export function conditionsOf(question: Question): SQL[] {
  const { fromMs, toMs, id, attempts, not = [] } = question
  const { shadow = id === undefined ? 'no' : 'any' } = question
  const kinds = kindsOf(question)
  const conditions: (SQL | undefined)[] = kinds ? [inArray(records.kind, kinds)] : []
  for (const name of texts) if (question[name] !== undefined) conditions.push(named[name](question[name]))
  for (const { name, value } of not) conditions.push(sql`(${named[name as TextName](value)}) is not true`)
  if (fromMs !== undefined) conditions.push(gte(records.at, new Date(fromMs).toISOString()))
  if (toMs !== undefined) conditions.push(lt(records.at, new Date(toMs).toISOString()))
  if (attempts !== undefined) conditions.push(endedSo(sql`cardinality(${outcomes.attempts}) >= ${attempts}`))
  if (shadow === 'only') conditions.push(eq(records.enforced, false))
  else if (shadow === 'no') conditions.push(sql`${records.enforced} is not false`)
  if (id !== undefined) {
    const parsed = parseDecisionId(id)
    conditions.push(eq(records.epoch, parsed?.epoch ?? ''), eq(records.seq, parsed?.seq ?? -1))
  }
  return conditions.filter((condition) => condition !== undefined)
}

/** Undefined: all. */
export function kindsOf({ kind, id, origin = id === undefined ? 'mesh' : 'any' }: Question): EventKind[] | undefined {
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
  reason: (value) =>
    sql`("records"."reasons_given" is not null and array_to_string("records"."reasons_given", ' ') ilike ${`%${literal(value)}%`})`,
  bundle: (value) => eq(records.bundle, value),
  traceId: (value) => sql`"records"."trace_key" = decode(${idHex(value)}, 'hex')`,
  address: (value) => eq(records.sourceAddress, value),
  serial: (value) => eq(records.serial, value),
  producer: (value) => nameIs(records.producer, value),
  outcome: (value) => {
    const is = /^\d{3}$/.test(value) ? eq(outcomes.status, Number(value)) : eq(outcomes.code, value)
    return endedSo(is)
  },
}

const endedSo = (is: SQL): SQL => sql`exists (select 1 from ${outcomes} where ${ofRecord} and ${is})`

/** A whole id, or the end of an id's path. */
function nameIs(column: typeof records.caller | typeof records.target | typeof records.producer, name: string): SQL {
  if (name.startsWith('spiffe://')) return eq(column, name)
  return or(eq(column, name), like(column, `%/${literal(name)}`))!
}

/** What LIKE would read as a pattern, as itself. */
const literal = (text: string): string => text.replace(/[\\%_]/g, '\\$&')

/** What the dictionaries of the sums tell of: columns of `shapes`, and the caller's name. */
const ofShape: Readonly<Partial<Record<TextName, (value: string) => SQL>>> = {
  target: (value) => sql`(writ_named(s.target, ${value}) or s.service = ${value})`,
  verdict: (value) => sql`s.verdict = ${value}`,
  code: (value) => sql`s.code = ${value}`,
  method: (value) => sql`s.method = ${value}`,
  revision: (value) => sql`s.revision = ${value}`,
  bundle: (value) => sql`s.bundle = ${value}`,
}
const callersNamed = (name: string): SQL => sql`(select n.id from names n where writ_named(n.name, ${name}))`

/**
 * Where in the sums `t` those rows can be; undefined where the sums tell nothing, as they know decisions alone and only
 * some of what is asked. Dictionaries are few: what fits is looked for there, and not in each sum.
 */
export function summedConditions(question: Question): SQL | undefined {
  const kinds = kindsOf(question)
  if (question.id !== undefined || kinds?.length !== 1 || kinds[0] !== 'decision') return undefined
  const { caller, fromMs, toMs, direction, shadow = 'no', not = [] } = question
  const conditions: SQL[] = []
  const shapes: SQL[] = []
  for (const name of texts) {
    const of = ofShape[name]
    if (question[name] !== undefined && of) shapes.push(of(question[name]))
  }
  if (caller !== undefined) conditions.push(sql`t.caller in ${callersNamed(caller)}`)
  for (const { name, value } of not) {
    const of = ofShape[name as TextName]
    if (of) shapes.push(sql`(${of(value)}) is not true`)
    if (name === 'caller') conditions.push(sql`t.caller not in ${callersNamed(value)}`)
  }
  if (fromMs !== undefined)
    conditions.push(sql`t.hour >= ${new Date(fromMs - (fromMs % hourMs)).toISOString()}::timestamptz`)
  if (toMs !== undefined) conditions.push(sql`t.hour < ${new Date(toMs).toISOString()}::timestamptz`)
  if (shadow === 'only') shapes.push(sql`s.enforced is false`)
  if (conditions.length + shapes.length === 0) return undefined
  if (direction !== undefined) shapes.push(sql`s.direction = ${direction}`)
  if (shapes.length > 0) {
    conditions.push(sql`t.shape in (select s.id from shapes s where s.kind = 'decision' and ${and(...shapes)})`)
  }
  return and(...conditions)
}

const hourMs = 3_600_000
