/** Answers of any length, as they are found: nothing is read before the page before was taken. */

import { utf8 } from '../../../core/bytes.ts'
import { WritError } from '../../../core/fault.ts'
import type { Json } from '../../../core/json.ts'
import { type AuditEvent, parseEvent } from '../../../core/record.ts'
import { readLeaves } from '../../store/leaves.ts'
import type { Db } from '../../store/schema.ts'
import type { DecisionRow } from '../answer.ts'
import { maxLimit, type Question, readCursor } from '../ask.ts'
import { ocsfEvents } from '../export/ocsf.ts'
import { opaEvent } from '../export/opa.ts'
import { parquetOf } from '../export/parquet.ts'
import { formatCsv, formatJsonLines } from '../format.ts'
import { findDecisions } from './find.ts'

export const exportFormats = ['csv', 'json', 'parquet', 'ocsf', 'opa'] as const

export type ExportFormat = (typeof exportFormats)[number]

export const exportTypes: Readonly<Record<ExportFormat, string>> = {
  csv: 'text/csv; charset=utf-8',
  json: 'application/x-ndjson',
  parquet: 'application/vnd.apache.parquet',
  ocsf: 'application/x-ndjson',
  opa: 'application/x-ndjson',
}

export function readFormat(text: string | undefined): ExportFormat {
  const format = exportFormats.find((known) => known === text)
  if (!format) throw new WritError('usage', `format is one of ${exportFormats.join(', ')}`)
  return format
}

/** Rows in pages, newest first, to the end, or to `limit` where one is given. */
export async function* rowPages(db: Db, question: Question): AsyncGenerator<readonly DecisionRow[]> {
  let left = question.limit ?? Number.POSITIVE_INFINITY
  for (let from = question; left > 0; ) {
    const page = await findDecisions(db, { ...from, limit: Math.min(maxLimit, left) })
    if (page.rows.length > 0) yield page.rows
    left -= page.rows.length
    if (page.next === null) return
    from = { ...question, cursor: readCursor(page.next) }
  }
}

export async function* exported(db: Db, question: Question, format: ExportFormat): AsyncGenerator<Uint8Array> {
  const pages = rowPages(db, question)
  if (format === 'parquet') return yield* parquetOf(pages)
  if (format === 'csv') yield utf8(formatCsv([]))
  for await (const rows of pages) yield utf8(await textOf(db, rows, format))
}

async function textOf(db: Db, rows: readonly DecisionRow[], format: Exclude<ExportFormat, 'parquet'>): Promise<string> {
  if (format === 'csv') {
    const text = formatCsv(rows)
    return text.slice(text.indexOf('\r\n') + 2)
  }
  if (format === 'json') return formatJsonLines(rows)
  const lines: Json[] = []
  for await (const [event, row] of withEvents(db, rows)) {
    if (format === 'ocsf') lines.push(...ocsfEvents(event, row))
    else {
      const one = opaEvent(event, row)
      if (one !== undefined) lines.push(one)
    }
  }
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('')
}

/** Leaves that are read at once: at the longest record they are 16 MiB. */
const leavesAtOnce = 250

async function* withEvents(db: Db, rows: readonly DecisionRow[]): AsyncGenerator<readonly [AuditEvent, DecisionRow]> {
  for (let at = 0; at < rows.length; at += leavesAtOnce) {
    const some = rows.slice(at, at + leavesAtOnce)
    const leaves = new Map<string, Uint8Array>()
    for (const shard of new Set(some.map((row) => row.shard))) {
      const indexes = some.filter((row) => row.shard === shard).map(({ index }) => index)
      for (const leaf of await readLeaves(db, shard, indexes)) leaves.set(`${shard}/${leaf.index}`, leaf.bytes)
    }
    for (const row of some) {
      const bytes = leaves.get(`${row.shard}/${row.index}`)
      const read = bytes && parseEvent(bytes)
      if (read && 'event' in read) yield [read.event, row]
    }
  }
}
