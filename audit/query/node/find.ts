/**
 * Finds decisions, newest first. Each shard is read backwards along its index, and where the hourly sums tell where the
 * answer can be, there alone; the shards' pages are then merged by time. What no column has is looked for in leaves. An
 * answer goes through so many records and no more, and says how far it looked.
 */

import { decisionId, type Epoch } from '../../../core/record.ts'
import { tileWidth } from '../../log/tiles.ts'
import { and, eq, getTableColumns, max, type SQL, sql } from '../../store/drizzle.ts'
import { endsOf } from '../../store/ends.ts'
import { readLeaves } from '../../store/leaves.ts'
import { checkpoints, type Db, epochs, type RecordRow, records } from '../../store/schema.ts'
import type { Answer, DecisionRow } from '../answer.ts'
import { type Cursor, defaultLimit, maxLimit, type Question, writeCursor } from '../ask.ts'
import { type Content, contentOf } from '../content.ts'
import { conditionsOf } from './conditions.ts'
import { withSealed } from './sealed.ts'
import { below, cutAfter, groupsOf, type Span, spansOf, widthOf } from './spans.ts'
import { rowsFrom } from './sql.ts'
import { toldAt } from './told.ts'
import { windowOf } from './windows.ts'

/** Records that one answer goes through at most in each shard, leaves of them that it opens, and bundles that those lie in. */
export interface Bounds {
  readonly records?: number
  readonly leaves?: number
  readonly bundles?: number
  /** Nothing but this shard, from this index on. */
  readonly only?: { readonly shard: number; readonly from: number }
}

const maxLooked = 1_000_000
const maxOpened = 20_000
const maxBundles = 1000
/** Rows that are read at once where their leaves are opened. */
const openedAtOnce = 500

export async function findDecisions(db: Db, question: Question, bounds: Bounds = {}): Promise<Answer> {
  const limit = Math.min(question.limit ?? defaultLimit, maxLimit)
  const pages = new Map<number, Page>()
  for (const shard of bounds.only ? [bounds.only.shard] : await shardsOf(db)) {
    pages.set(shard, await pageOf(db, question, shard, question.cursor?.get(shard), limit + 1, bounds))
  }
  const answer = merge(pages, question.cursor, limit)
  return { ...answer, rows: await withSealed(db, answer.rows) }
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
function merge(pages: ReadonlyMap<number, Page>, from: Cursor | undefined, limit: number): Answer {
  const taken = new Map([...pages.keys()].map((shard) => [shard, 0]))
  const rows: DecisionRow[] = []
  const heads = (): DecisionRow[] => [...pages].flatMap(([shard, page]) => page.rows[taken.get(shard)!] ?? [])
  while (rows.length < limit) {
    const head = heads().reduce<DecisionRow | undefined>((a, b) => (a && a.time >= b.time ? a : b), undefined)
    if (!head) break
    rows.push(head)
    taken.set(head.shard, taken.get(head.shard)! + 1)
  }
  const cursor = new Map(from)
  for (const row of rows) cursor.set(row.shard, row.index)
  let stopped = false
  for (const [shard, { rows: page, floor }] of pages) {
    if (floor === undefined) continue
    stopped = true
    if (taken.get(shard) === page.length) cursor.set(shard, floor)
  }
  const next = stopped || heads().length > 0 ? writeCursor(cursor) : null
  if (!stopped) return { rows, next }
  return { rows, next, looked: [...pages.values()].reduce((sum, page) => sum + page.looked, 0) }
}

interface Page {
  readonly rows: readonly DecisionRow[]
  /** Where looking stopped for having gone through so many: all from here up was looked at. */
  readonly floor?: number
  readonly looked: number
}

async function pageOf(
  db: Db,
  question: Question,
  shard: number,
  cursor: number | undefined,
  limit: number,
  { records: mostLooked = maxLooked, leaves: mostOpened = maxOpened, bundles: mostBundles = maxBundles, only }: Bounds,
): Promise<Page> {
  const size = await coveredSize(db, shard)
  const content = contentOf(question)
  const rows: DecisionRow[] = []
  let [looked, opened, bundles] = [0, 0, 0]
  const { low, high } = await windowOf(db, shard, question, cursor)
  const window = { low: Math.max(low, only?.from ?? 0), high }
  let wide = Number.POSITIVE_INFINITY
  for await (const group of groupsOf(spansOf(db, question, shard, window))) {
    for (let spans = group; spans.length > 0; ) {
      if (looked >= mostLooked || opened >= mostOpened || bundles >= mostBundles)
        return { rows, floor: spans[0]!.last + 1, looked }
      const room = content
        ? Math.min(openedAtOnce, mostOpened - opened, (mostBundles - bundles) * tileWidth)
        : limit - rows.length
      const [now, later] = cutAfter(spans, Math.min(mostLooked - looked, wide))
      const found = await recordsIn(db, shard, now, conditionsOf(question), room)
      const rest = found.length < room ? [] : below(now, found.at(-1)!.record.index)
      const gone = widthOf(now) - widthOf(rest)
      looked += gone
      // Of a part that holds more than is taken in at once all would be read again: the next is as wide as it takes.
      wide = found.length < room ? 4 * wide : Math.ceil(1.5 * gone)
      spans = [...rest, ...later]
      if (content) {
        opened += found.length
        bundles += new Set(found.map(({ record }) => Math.floor(record.index / tileWidth))).size
      }
      const kept = content ? await withContent(db, shard, found, content) : found
      rows.push(...(await rowsOf(db, shard, kept.slice(0, limit - rows.length), size)))
      if (rows.length >= limit) return { rows, looked }
    }
  }
  return { rows, looked }
}

interface Found {
  readonly record: RecordRow
  readonly attestedSeq: number | null
}

async function withContent(
  db: Db,
  shard: number,
  found: readonly Found[],
  content: Content,
): Promise<readonly Found[]> {
  const indexes = found.map(({ record }) => record.index)
  const leaves = await readLeaves(db, shard, indexes)
  return found.filter((_, i) => content(leaves[i]!.bytes))
}

/** With how they ended, and what was told of them. */
async function rowsOf(db: Db, shard: number, rows: readonly Found[], size: number): Promise<readonly DecisionRow[]> {
  if (rows.length === 0) return []
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
      ...(record.kind !== 'decision' && record.kind !== 'opa_decision' && { kind: record.kind }),
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
      attempts: outcome?.attempts ?? null,
      stopped: outcome?.stopped ?? null,
      attested: (attestedSeq ?? -1) >= record.seq,
      covered: record.index < size,
      ...(told.has(record.index) && { told: told.get(record.index)! }),
    }
  })
}

/**
 * The newest records of those spans. Each span is looked into by itself, for PostgreSQL would read the days of all of them
 * whole; and the times of all are written out, so that it plans for their days alone.
 */
async function recordsIn(
  db: Db,
  shard: number,
  spans: readonly Span[],
  conditions: readonly SQL[],
  limit: number,
): Promise<readonly Found[]> {
  const timed = spans.map(({ first, last, fromMs, toMs }) => ({ first, last, from_at: iso(fromMs), to_at: iso(toMs) }))
  const from = iso(Math.min(...spans.map(({ fromMs }) => fromMs)))
  const to = iso(Math.max(...spans.map(({ toMs }) => toMs)))
  const rows = await rowsFrom(
    db,
    sql`select r.*, e.attested_seq
      from json_to_recordset(${JSON.stringify(timed)}::json)
          as w(first bigint, last bigint, from_at timestamptz, to_at timestamptz)
        cross join lateral (
          select * from ${records} where ${records.shard} = ${shard} and ${records.index} between w.first and w.last
            and ${records.at} between w.from_at and w.to_at and ${records.at} between ${from} and ${to}
            and ${and(...conditions) ?? sql`true`}
          offset 0
        ) r
        left join ${epochs} e on e.epoch = r.epoch
      order by r.index desc limit ${limit}`,
  )
  return rows.map((row) => ({
    record: Object.fromEntries(
      recordColumns.map(([name, column]) => [
        name,
        row[column.name] === null ? null : column.mapFromDriverValue(row[column.name]),
      ]),
    ) as unknown as RecordRow,
    attestedSeq: row['attested_seq'] === null ? null : Number(row['attested_seq']),
  }))
}

const recordColumns = Object.entries(getTableColumns(records))
const iso = (ms: number): string => new Date(ms).toISOString()

async function coveredSize(db: Db, shard: number): Promise<number> {
  const [row] = await db
    .select({ size: max(checkpoints.size) })
    .from(checkpoints)
    .where(eq(checkpoints.shard, shard))
  return Number(row?.size ?? 0)
}

/** PostgreSQL's `2026-11-23 17:04:09.1234+00`, in whatever zone the session has, as RFC 3339 in UTC. */
export function isoTime(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d(?::?\d\d)?)$/.exec(text)
  if (!match) return text
  const [, date, clock, fraction, zone] = match
  const offset = zone === 'Z' ? 'Z' : zone!.length === 3 ? `${zone}:00` : zone
  const seconds = new Date(`${date}T${clock}${offset}`).toISOString().slice(0, 19)
  return `${seconds}.${(fraction ?? '').padEnd(6, '0')}Z`
}
