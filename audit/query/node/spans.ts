/** Where in a shard's log the answer to a question can be, newest first: so that what is rare is not searched for. */

import { idHex } from '../../store/copy.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { usualKinds } from '../../store/volume.ts'
import type { Question } from '../ask.ts'
import { kindsOf, summedConditions } from './conditions.ts'
import { rowsFrom } from './sql.ts'
import { type Times, timesOf, type Window } from './windows.ts'

/** Indexes, both included, and between which times their records are: only those days are looked into. */
export interface Span extends Times {
  readonly first: number
  readonly last: number
}

/** Sums that are read at once. */
const sumsAtOnce = 2000
/** Indexes whose sums are read at first; the next are four times as many. */
const firstSums = 262_144
/** Spans no further apart are read as one: that is cheaper than to look for each. */
const near = 256
/** Rows have no index in order: a part is read whole and sorted, and so the first are small. */
const firstWidth = 4096
const longest = 262_144

export async function* spansOf(db: Db, question: Question, shard: number, { low, high }: Window): AsyncGenerator<Span> {
  const parts = new Parts()
  const kinds = kindsOf(question)
  if (kinds?.every((kind) => !usualKinds.includes(kind))) {
    for await (const place of placesOf(db, shard, kinds, { low, high })) yield* parts.split(place)
    return
  }
  if (question.requestId !== undefined || question.traceId !== undefined) {
    for (const place of await namedPlaces(db, question, shard, { low, high })) yield* parts.split(place)
    return
  }
  const where = summedConditions(question)
  if (!where) {
    for (const { first, last } of parts.split({ first: low, last: high - 1, fromMs: 0, toMs: 0 })) {
      const times = await timesOf(db, shard, first, last)
      if (times) yield { first, last, ...times }
    }
    return
  }
  let width = firstSums
  for (let ceiling = high; ceiling > low; ) {
    const floor = Math.max(low, ceiling - width)
    const times = await timesOf(db, shard, floor, ceiling - 1)
    const rows = times
      ? await rowsFrom(
          db,
          sql`select t.first_index, t.last_index, ${cellTimes}
            from (
              select shard, hour, shape, caller, first_index, last_index, first_at, last_at from rollups
              union all
              select shard, hour, shape, caller, first_index, last_index, first_at, last_at from writ_new_traffic
            ) t
            where t.shard = ${shard} and t.hour >= ${hourOf(times.fromMs)} and t.hour <= ${hourOf(times.toMs)}
              and t.first_index < ${ceiling} and t.last_index >= ${floor} and ${where}
            order by t.last_index desc limit ${sumsAtOnce}`,
        )
      : []
    let open: Span | undefined
    for (const row of rows) {
      const one = spanOf(row, floor, ceiling - 1)
      if (open && one.last >= open.first - near) {
        open = joined(open, one)
        continue
      }
      if (open) yield* parts.split(open)
      open = one
    }
    if (open) yield* parts.split(open)
    if (open && rows.length === sumsAtOnce) {
      // All below the lowest that was read is still to come: what reaches above it was read with the rest.
      ceiling = open.first
    } else {
      ceiling = floor
      width *= 4
    }
  }
}

const hourMs = 3_600_000
const hourOf = (ms: number) => sql`${new Date(Math.floor(ms / hourMs) * hourMs).toISOString()}::timestamptz`

/** As whole milliseconds around them. */
const timesBetween = (first: string, last: string): string =>
  `floor(extract(epoch from ${first}) * 1000) as from_ms, ceil(extract(epoch from ${last}) * 1000) as to_ms`
const cellTimes = sql.raw(timesBetween('t.first_at', 't.last_at'))
const placeColumns = sql.raw(`t.index as first_index, t.index as last_index, ${timesBetween('t.at', 't.at')}`)

const spanOf = (row: { readonly [column: string]: unknown }, low: number, high: number): Span => ({
  first: Math.max(Number(row['first_index']), low),
  last: Math.min(Number(row['last_index']), high),
  fromMs: Number(row['from_ms']),
  toMs: Number(row['to_ms']),
})

const joined = (a: Span, b: Span): Span => ({
  first: Math.min(a.first, b.first),
  last: Math.max(a.last, b.last),
  fromMs: Math.min(a.fromMs, b.fromMs),
  toMs: Math.max(a.toMs, b.toMs),
})

/** Records of one request or one trace: block indexes skip what cannot hold them, whatever day it is of. */
async function namedPlaces(
  db: Db,
  { requestId, traceId }: Question,
  shard: number,
  { low, high }: Window,
): Promise<readonly Span[]> {
  const [column, id] = requestId === undefined ? (['trace', traceId!] as const) : (['request', requestId] as const)
  const rows = await rowsFrom(
    db,
    sql`select ${placeColumns} from rows t where t.shard = ${shard} and t.${sql.raw(column)} = decode(${idHex(id)}, 'hex')
        and t.index >= ${low} and t.index < ${high} order by t.index desc limit ${sumsAtOnce}`,
  )
  return rows.map((row) => spanOf(row, low, high - 1))
}

/** Records of seldom kinds, each in its place. */
async function* placesOf(db: Db, shard: number, kinds: readonly string[], { low, high }: Window): AsyncGenerator<Span> {
  const some = sql.join(
    kinds.map((kind) => sql`${kind}`),
    sql`, `,
  )
  for (let below = high; below > low; ) {
    const rows = await rowsFrom(
      db,
      sql`select ${placeColumns} from others t where t.shard = ${shard} and t.kind in (${some}) and t.index < ${below} and t.index >= ${low}
        order by t.index desc limit ${sumsAtOnce}`,
    )
    for (const row of rows) yield spanOf(row, low, high - 1)
    if (rows.length < sumsAtOnce) return
    below = Number(rows.at(-1)!['first_index'])
  }
}

/** Spans that one query looks into, and indexes of them; after each query twice as many of these, as with parts. */
const mostSpans = 64

/** Spans that are narrow are looked into together. */
export async function* groupsOf(spans: AsyncIterable<Span>): AsyncGenerator<readonly Span[]> {
  let group: Span[] = []
  let [width, most] = [0, firstWidth]
  for await (const span of spans) {
    group.push(span)
    width += span.last - span.first + 1
    if (group.length < mostSpans && width < most) continue
    yield group
    group = []
    width = 0
    most = Math.min(most * 2, longest)
  }
  if (group.length > 0) yield group
}

export const widthOf = (spans: readonly Span[]): number =>
  spans.reduce((sum, { first, last }) => sum + last - first + 1, 0)

/** What of them lies below an index. */
export const below = (spans: readonly Span[], index: number): readonly Span[] =>
  spans.flatMap((span) => (span.first >= index ? [] : [{ ...span, last: Math.min(span.last, index - 1) }]))

/** The uppermost so many indexes of them, and the rest. */
export function cutAfter(spans: readonly Span[], most: number): readonly [readonly Span[], readonly Span[]] {
  let left = most
  for (const [i, span] of spans.entries()) {
    const width = span.last - span.first + 1
    if (width > left) {
      const cut = span.last - left + 1
      return [
        [...spans.slice(0, i), ...(left > 0 ? [{ ...span, first: cut }] : [])],
        [{ ...span, last: cut - 1 }, ...spans.slice(i + 1)],
      ]
    }
    left -= width
  }
  return [spans, []]
}

/** Each part is wider than the one before. */
class Parts {
  #width = firstWidth;

  *split({ first, last, fromMs, toMs }: Span): Generator<Span> {
    for (let to = last; to >= first; ) {
      const from = Math.max(first, to - this.#width + 1)
      yield { first: from, last: to, fromMs, toMs }
      if (to - from + 1 === this.#width) this.#width = Math.min(this.#width * 2, longest)
      to = from - 1
    }
  }
}
