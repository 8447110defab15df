/** Answers as people and programs want them: a table that fits a terminal, JSON, CSV. */

import type { DecisionRow } from './answer.ts'

/** Paints a piece of text by verdict; the identity where nobody looks at a terminal. */
export type Paint = (verdict: string, text: string) => string

export const plain: Paint = (_, text) => text

/** Columns of a terminal that the table fits into. */
const tableWidth = 120

interface Column {
  readonly title: string
  readonly of: (row: DecisionRow) => string
  /** Narrowest it is cut to when the table is too wide; whole where it is not given. */
  readonly shrinksTo?: number
  readonly right?: boolean
}

const columns: readonly Column[] = [
  { title: 'TIME (UTC)', of: (row) => row.time.slice(0, 19).replace('T', ' ') },
  { title: 'VERDICT', of: verdictText, shrinksTo: 18 },
  { title: 'CALLER', of: (row) => shortId(row.caller) ?? '(no identity)', shrinksTo: 8 },
  { title: 'TARGET', of: (row) => shortId(row.target) ?? '-', shrinksTo: 8 },
  { title: 'REQUEST', of: (row) => [row.method, row.path].filter(Boolean).join(' ') || '-', shrinksTo: 12 },
  { title: 'STATUS', of: (row) => (row.status === null ? '?' : String(row.status)), right: true },
  { title: 'MS', of: (row) => (row.durationUs === null ? '?' : (row.durationUs / 1000).toFixed(1)), right: true },
  { title: 'ID', of: (row) => row.id },
]

/** Aligned columns, at most 120 wide. Control characters, which came from strangers, are shown as what they are. */
export function formatTable(rows: readonly DecisionRow[], paint: Paint = plain): string {
  const cells = rows.map((row) => columns.map((column) => visible(column.of(row))))
  const widths = shrink(
    columns.map((column, i) => Math.max(column.title.length, ...cells.map((line) => line[i]!.length))),
  )
  const line = (texts: readonly string[], around: (text: string, i: number) => string): string =>
    texts
      .map((text, i) => around(pad(cut(text, widths[i]!), widths[i]!, columns[i]!.right === true), i))
      .join('  ')
      .trimEnd()
  const head = line(
    columns.map(({ title }) => title),
    (text) => text,
  )
  const body = cells.map((texts, at) => line(texts, (text, i) => (i === 1 ? paint(rows[at]!.verdict, text) : text)))
  return `${[head, ...body].join('\n')}\n`
}

export const formatJson = (rows: readonly DecisionRow[]): string => `${JSON.stringify(rows, null, 2)}\n`

export const formatJsonLines = (rows: readonly DecisionRow[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join('')

const csvColumns: readonly (keyof DecisionRow)[] = [
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
  'id',
  'shard',
  'index',
  'attested',
  'covered',
]

/** RFC 4180, with a header line. */
export function formatCsv(rows: readonly DecisionRow[]): string {
  const lines = [csvColumns.join(','), ...rows.map((row) => csvColumns.map((name) => csvCell(row[name])).join(','))]
  return lines.map((line) => `${line}\r\n`).join('')
}

/** A spreadsheet runs a cell that begins like a formula; an apostrophe in front makes it text. */
export function csvCell(value: DecisionRow[keyof DecisionRow]): string {
  if (value === null) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? value : value.join('; ')
  const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

function verdictText({ verdict, code, enforced }: DecisionRow): string {
  const text = verdict === 'allow' && code === 'allowed' ? 'allow' : `${verdict} ${code}`
  return enforced ? text : `(${text})`
}

/** The path of an id says enough where all ids are of one trust domain. */
const shortId = (id: string | null): string | null => id?.replace(/^spiffe:\/\/[^/]+\//, '') ?? null

const visible = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd')

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}\u2026`
}

const pad = (text: string, width: number, right: boolean): string => (right ? text.padStart(width) : text.padEnd(width))

/** Takes from the widest column that may shrink, until the line fits. */
function shrink(widths: readonly number[]): readonly number[] {
  const fitted = [...widths]
  const total = (): number => fitted.reduce((sum, width) => sum + width, 0) + 2 * (fitted.length - 1)
  while (total() > tableWidth) {
    let widest = -1
    columns.forEach(({ shrinksTo }, i) => {
      const spare = shrinksTo !== undefined && fitted[i]! > shrinksTo
      if (spare && (widest < 0 || fitted[i]! > fitted[widest]!)) widest = i
    })
    if (widest < 0) break
    fitted[widest]!--
  }
  return fitted
}
