/** Answers the canned questions, from the store's functions for them (audit/store/questions.ts). */

import type { Json } from '../../../core/json.ts'
import { type SQL, sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import type { AnswerRow, Asked, CannedAnswer } from '../questions.ts'
import { templateOf } from '../template.ts'
import { certificates } from './certificates.ts'
import { completeness } from './completeness.ts'
import { findDecisions, isoTime } from './find.ts'
import { unusedGrants } from './grants.ts'
import { placed } from './placed.ts'
import { type Found, type Row, rowsFrom, time } from './sql.ts'

export interface CannedParts {
  readonly db: Db
  /** Data of the policy that grants are looked for in. */
  readonly data?: Json
}

const dayMs = 86_400_000
/** Rows that tell what paths a caller asked for. */
const pathRows = 1000
const pathsShown = 3

export async function canned(parts: CannedParts, asked: Asked): Promise<CannedAnswer> {
  const { question, fromMs, toMs, limit } = asked
  const { rows, notes = [], ok } = await find(parts, asked)
  const kept = await withRecords(parts.db, rows.slice(0, limit))
  return {
    question: question.name,
    asks: question.asks,
    since: new Date(fromMs).toISOString(),
    until: new Date(toMs).toISOString(),
    columns: question.columns,
    rows: kept.map((row) => shownRow(row, asked)),
    cut: rows.length > limit,
    notes,
    ...(ok !== undefined && { ok }),
  }
}

function find(parts: CannedParts, asked: Asked): Promise<Found> {
  const { db } = parts
  const { fromMs, toMs, limit, about = '', direction = 'inbound' } = asked
  const [since, until] = [time(fromMs), time(toMs)]
  const rowsOf = async (call: SQL): Promise<readonly Row[]> =>
    rowsFrom(db, sql`select * from ${call} limit ${limit + 1}`)
  switch (asked.question.name) {
    case 'who-accessed':
      return withPaths(db, asked, rowsOf(sql`writ_who_accessed(${about}, ${since}, ${until}, ${direction})`))
    case 'touched-by':
      return withPaths(db, asked, rowsOf(sql`writ_touched_by(${about}, ${since}, ${until}, ${direction})`))
    case 'denied-spikes':
      return spikes(
        rowsOf(sql`writ_denied_spikes(${since}, ${until}, ${asked.atLeast ?? 5}::bigint, ${asked.over ?? 4}::float8,
          ${limit + 1}::bigint)`),
      )
    case 'first-seen':
      return firstSeen(db, asked, rowsOf(sql`writ_first_seen_edges(${since}, ${until})`))
    case 'moved-callers': {
      const before = sql`${`${(asked.beforeMs ?? 7 * dayMs) / 1000} seconds`}::interval`
      const bounds = sql`${asked.atLeast ?? 50}::bigint, ${asked.over ?? 0.1}::float8`
      return rowsOf(sql`writ_moved_callers(${since}, ${until}, ${before}, ${bounds})`).then((rows) => ({
        rows,
        notes: ['MOVED is a Jensen-Shannon divergence: 0 the same mix as before, 1 nothing in common.'],
      }))
    }
    case 'unidentified':
      return unidentified(db, asked, rowsOf(sql`writ_unidentified_allows(${since}, ${until})`))
    case 'revisions':
      return rowsOf(sql`writ_policy_revisions(${since}, ${until})`).then((rows) => ({
        rows,
        notes: ['What another revision would have decided: writ policy impact --help'],
      }))
    case 'unused-grants':
      return unusedGrants(db, asked, parts.data)
    case 'certificates':
      return certificates(db, asked)
    default:
      return completeness(db, asked)
  }
}

/** Path templates of the newest records that fit; sums know no paths. */
async function withPaths(db: Db, asked: Asked, found: Promise<readonly Row[]>): Promise<Found> {
  const rows = await found
  if (rows.length === 0) return { rows }
  const { about = '', direction = 'inbound', fromMs, toMs, question } = asked
  const page = await findDecisions(db, {
    ...(question.about === 'target' ? { target: about } : { caller: about }),
    ...(direction !== 'any' && { direction }),
    fromMs: fromMs - (fromMs % 3_600_000),
    toMs,
    limit: pathRows,
  })
  const seen = new Map<string, Set<string>>()
  for (const row of page.rows) {
    const key = keyOf(row.caller, row.target, row.method, row.verdict, row.code, row.revision)
    const templates = seen.get(key) ?? new Set()
    if (row.path !== null) templates.add(templateOf(row.path))
    seen.set(key, templates)
  }
  const notes =
    page.next === null ? [] : [`PATHS are those of the newest ${page.rows.length.toLocaleString('en-US')} decisions.`]
  return {
    rows: rows.map((row) => {
      const templates = [
        ...(seen.get(
          keyOf(row['caller'], row['target'], row['method'], row['verdict'], row['code'], row['revision']),
        ) ?? []),
      ]
      const more = templates.length > pathsShown ? [`and ${templates.length - pathsShown} more`] : []
      return { ...row, paths: [...templates.slice(0, pathsShown), ...more].join(', ') }
    }),
    notes,
  }
}

const keyOf = (...parts: readonly unknown[]): string => JSON.stringify(parts.map((part) => part || null))

async function spikes(found: Promise<readonly Row[]>): Promise<Found> {
  const rows = await found
  const young = rows.filter((row) => row['score'] === null).length
  const notes = ['SCORE is how many usual spreads (MAD) the denials are over what is USUAL (median).']
  if (young > 0) {
    notes.push(`${young} without a SCORE: the log has fewer than three such hours before to compare them with.`)
  }
  return { rows, notes }
}

async function firstSeen(db: Db, { fromMs }: Asked, found: Promise<readonly Row[]>): Promise<Found> {
  const rows = await found
  const [first] = await rowsFrom(db, sql`select min(first_at) as at from traffic`)
  const began = first?.['at'] ? isoTime(String(first['at'])) : undefined
  const young = began !== undefined && Date.parse(began) >= fromMs
  return { rows, notes: young ? [`The log itself begins at ${began.slice(0, 19)}Z: all is new to it.`] : [] }
}

async function unidentified(db: Db, { fromMs, toMs }: Asked, found: Promise<readonly Row[]>): Promise<Found> {
  const rows = await found
  const [sum] = await rowsFrom(
    db,
    sql`select coalesce(sum(decisions), 0)::bigint as n from writ_counted(${time(fromMs)}, ${time(toMs)})
      where verdict = 'allow' or code = 'fault_passed'`,
  )
  const of = Number(sum?.['n'] ?? 0).toLocaleString('en-US')
  const without = rows.reduce((total, row) => total + Number(row['decisions']), 0).toLocaleString('en-US')
  return { rows, ok: rows.length === 0, notes: [`${without} of ${of} requests that passed had no verified identity.`] }
}

/** The id of the record that each row is proven by. */
async function withRecords(db: Db, rows: readonly Row[]): Promise<readonly Row[]> {
  const wanted = rows.filter((row) => row['record'] === undefined && typeof row['shard'] === 'number')
  if (wanted.length === 0) return rows
  const found = await placed(db, wanted)
  return rows.map((row) => ({
    ...row,
    record: row['record'] ?? found.get(`${row['shard']}/${row['index']}`)?.id ?? null,
  }))
}

/** A row in the columns of its question, each value of the type that its kind has. */
function shownRow(row: Row, { question }: Asked): AnswerRow {
  const shown: { [column: string]: Json } = {}
  for (const { name, kind } of question.columns) {
    const value = row[name]
    if (value === null || value === undefined) shown[name] = null
    else if (kind === 'time') shown[name] = isoTime(String(value))
    else if (kind === 'text' || kind === 'id' || kind === 'record') shown[name] = value as Json
    else shown[name] = Number(value)
  }
  return shown
}
