/** The answer to a canned question as people and programs want it. */

import { csvCell } from './format.ts'
import type { AnswerColumn, AnswerRow, CannedAnswer, CellKind } from './questions.ts'
import { type Column, layTable, shortId } from './table.ts'

/** A table as wide as the terminal, and what a reader has to know below it. */
export function formatAnswer(answer: CannedAnswer, width?: number): string {
  const { rows, notes } = answer
  const shown = answer.columns.filter(({ title }) => title !== undefined)
  const columns = shown.map(({ title, kind }): Column => ({ title: title!, ...layoutOf[kind] }))
  const lines = [answer.asks, `${minute(answer.since)} to ${minute(answer.until)} UTC`, '']
  if (rows.length === 0) lines.push(answer.ok === true ? 'nothing, as it should be' : 'nothing')
  else {
    const cells = rows.map((row) => shown.map((column) => cellText(column, row[column.name])))
    lines.push(...layTable(columns, cells, undefined, width))
  }
  if (answer.cut) lines.push('', `More rows than these ${rows.length}: ask for more with --limit.`)
  if (notes.length > 0) lines.push('', ...notes)
  return `${lines.join('\n')}\n`
}

/** RFC 4180, with a header line. */
export function formatAnswerCsv({ columns, rows }: CannedAnswer): string {
  const lines = [
    columns.map(({ name }) => name).join(','),
    ...rows.map((row) => columns.map(({ name }) => csvCell(plainCell(row[name]))).join(',')),
  ]
  return lines.map((line) => `${line}\r\n`).join('')
}

const layoutOf: Readonly<Record<CellKind, Partial<Column>>> = {
  text: { shrinksTo: 8 },
  id: { shrinksTo: 8 },
  record: {},
  count: { right: true },
  number: { right: true },
  ms: { right: true },
  share: { right: true },
  time: {},
  span: { right: true },
}

function cellText({ kind, name }: AnswerColumn, value: AnswerRow[string] | undefined): string {
  if (value === null || value === undefined || value === '') {
    return name === 'caller' && value !== undefined ? '(no identity)' : '-'
  }
  if (typeof value === 'number') return numberText(kind, value)
  const text = typeof value === 'string' ? value : Array.isArray(value) ? value.join(' ') : JSON.stringify(value)
  if (kind === 'id') return shortId(text) ?? text
  return kind === 'time' ? minute(text) : text
}

function numberText(kind: CellKind, value: number): string {
  switch (kind) {
    case 'count':
      return value.toLocaleString('en-US')
    case 'share':
      return `${(value * 100).toFixed(1)} %`
    case 'span':
      return spanText(value)
    case 'ms':
      return value.toFixed(1)
    default:
      return Number.isInteger(value) ? String(value) : value.toFixed(2)
  }
}

/** Seconds as people say them. */
export function spanText(seconds: number): string {
  const size = Math.abs(seconds)
  if (size < 120) return `${Math.round(seconds)} s`
  if (size < 7200) return `${Math.round(seconds / 60)} min`
  return size < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}

const minute = (time: string): string => time.slice(0, 16).replace('T', ' ')

function plainCell(value: AnswerRow[string] | undefined): string | number | boolean | null {
  if (value === undefined || value === null) return null
  return typeof value === 'object' ? (Array.isArray(value) ? value.join(' ') : JSON.stringify(value)) : value
}
