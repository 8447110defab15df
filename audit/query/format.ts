/** Answers as people and programs want them: a table that fits a terminal, JSON, CSV. */

import type { DecisionRow } from './answer.ts'
import { sealedSummary, sealedTexts, shownField } from './sealed.ts'
import { type Column, layTable, shortId } from './table.ts'

/** Paints a piece of text by verdict; the identity where nobody looks at a terminal. */
export type Paint = (verdict: string, text: string) => string

export const plain: Paint = (_, text) => text

const columns: readonly (Column & { readonly of: (row: DecisionRow) => string })[] = [
  { title: 'TIME (UTC)', of: (row) => row.time.slice(0, 19).replace('T', ' ') },
  { title: 'VERDICT', of: verdictText, shrinksTo: 18 },
  { title: 'CALLER', of: (row) => shortId(row.caller) ?? (row.told ? '-' : '(no identity)'), shrinksTo: 8 },
  { title: 'TARGET', of: (row) => shortId(row.target) ?? '-', shrinksTo: 8 },
  { title: 'REQUEST', of: requestText, shrinksTo: 12 },
  { title: 'STATUS', of: (row) => (row.status === null ? unknown(row) : String(row.status)), right: true },
  { title: 'MS', of: (row) => (row.durationUs === null ? unknown(row) : millis(row.durationUs)), right: true },
  { title: 'ID', of: (row) => row.id },
]

/** Stands only where some row has any. */
const retriesColumn: (typeof columns)[number] = {
  ...{ title: 'RETRIES', right: true },
  of: ({ attempts }) => (attempts?.length ? String(attempts.length) : ''),
}
/** Stands only where some row has such fields. */
const sealedColumn: (typeof columns)[number] = { title: 'SEALED', of: sealedSummary, shrinksTo: 12 }

function requestText(row: DecisionRow): string {
  return [row.method, row.path ?? shownField(row, 'path')].filter(Boolean).join(' ') || '-'
}

const millis = (us: number): string => (us / 1000).toFixed(1)

/** How a call ended that an OPA was asked about is nothing that it knows. */
const unknown = ({ told }: DecisionRow): string => (told ? '-' : '?')

/** Aligned columns, at most 120 wide or as wide as is said. */
export function formatTable(rows: readonly DecisionRow[], paint: Paint = plain, width?: number): string {
  const shown = [
    ...columns.slice(0, -1),
    ...(rows.some(({ attempts }) => attempts?.length) ? [retriesColumn] : []),
    ...(rows.some(({ sealed }) => sealed) ? [sealedColumn] : []),
    columns.at(-1)!,
  ]
  const lines = layTable(
    shown,
    rows.map((row) => shown.map((column) => column.of(row))),
    (text, at, i) => (i === 1 ? paint(rows[at]!.verdict, text) : text),
    width,
  )
  return `${lines.join('\n')}\n`
}

export const formatJson = (rows: readonly DecisionRow[]): string => `${JSON.stringify(rows, null, 2)}\n`

export const formatJsonLines = (rows: readonly DecisionRow[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join('')

const csvColumns: readonly Exclude<keyof DecisionRow, 'told' | 'kind' | 'sealed'>[] = [
  'time',
  'verdict',
  'code',
  'caller',
  'target',
  'service',
  'method',
  'path',
  'status',
  'outcome',
  'durationUs',
  'direction',
  'enforced',
  'by',
  'bundle',
  'revision',
  'reasons',
  'requestId',
  'traceId',
  'sourceAddress',
  'serial',
  'upstream',
  'attempts',
  'stopped',
  'id',
  'shard',
  'index',
  'attested',
  'covered',
]

const toldColumns = ['opaTime', 'opaResult', 'opaLabels'] as const

const toldCells = ({ told }: DecisionRow): readonly (string | null)[] =>
  told
    ? [told.at, ...[told.result, told.labels].map((it) => (it === null ? null : JSON.stringify(it)))]
    : toldColumns.map(() => null)

/** RFC 4180, with a header line. */
export function formatCsv(rows: readonly DecisionRow[]): string {
  const lines = [
    [...csvColumns, ...toldColumns, 'sealed'].join(','),
    ...rows.map((row) =>
      [...csvColumns.map((name) => row[name]), ...toldCells(row), sealedTexts(row)].map(csvCell).join(','),
    ),
  ]
  return lines.map((line) => `${line}\r\n`).join('')
}

/** A spreadsheet runs a cell that begins like a formula; an apostrophe in front makes it text. */
export function csvCell(value: string | number | boolean | null | readonly string[]): string {
  if (value === null) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? value : value.join('; ')
  const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

function verdictText({ verdict, code, enforced, told, kind }: DecisionRow): string {
  if (kind !== undefined) return kind
  if (told) return code === 'opa_result' ? `opa: ${JSON.stringify(told.result)}` : code.replace('opa_', 'opa: ')
  const text = verdict === 'allow' && code === 'allowed' ? 'allow' : `${verdict} ${code}`
  return enforced ? text : `(${text})`
}
