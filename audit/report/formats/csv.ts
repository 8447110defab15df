/** A report as tables: parts, checks, and the rows behind the figures of each check. */

import type { CheckResult, ComplianceReport } from '../../../core/compliance.ts'
import { isObject, type Json } from '../../../core/json.ts'
import { csvCell } from '../../query/format.ts'

type Cell = string | number | boolean | null

const table = (columns: readonly string[], rows: readonly (readonly Cell[])[]): string =>
  [columns, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('')

/** By name of file: `parts.csv`, `checks.csv`, `attested.csv`, `M02.csv` and so on. */
export function csvFiles(report: ComplianceReport): ReadonlyMap<string, string> {
  return new Map([
    ['parts.csv', partsCsv(report)],
    ['checks.csv', checksCsv(report)],
    ['attested.csv', attestedCsv(report)],
    ...report.checks.map((check) => [`${check.id}.csv`, rowsCsv(check)] as const),
  ])
}

const partsCsv = ({ parts, framework }: ComplianceReport): string =>
  table(
    ['framework', 'id', 'about', 'part', 'checks', 'verdict', 'accepted', 'not_observable', 'confirmed'],
    parts.map((part) => [
      ...[framework.id, part.id, part.about, part.part, part.checks.join(' ')],
      ...[part.verdict, part.accepted, part.notObservable ?? '', part.confirmed],
    ]),
  )

const attestedCsv = ({ attested }: ComplianceReport): string =>
  table(
    ['entry', 'at', 'about', 'subject', 'statement', 'by', 'actor', 'documents'],
    attested.map(({ id, at, about, subject, statement, by, actor, documents }) => [
      ...[id, at, about, subject, statement, by, actor],
      documents.map(({ name, sha256 }) => `${sha256}  ${name}`).join('; '),
    ]),
  )

const checksCsv = ({ checks }: ComplianceReport): string =>
  table(
    [
      'check',
      'title',
      'verdict',
      'accepted',
      'numerator',
      'numerator_of',
      'denominator',
      'denominator_of',
      'threshold',
      'finding',
    ],
    checks.map((check) => [
      ...[check.id, check.title, check.verdict, check.accepted, check.numerator.value, check.numerator.of],
      ...[check.denominator.value, check.denominator.of, check.threshold, check.finding],
    ]),
  )

/** Parameters, counts, whom they are about, and the records to look up: what the rule was asked about. */
function rowsCsv({ rows, parameters, sample, subjects }: CheckResult): string {
  const lines: Cell[][] = []
  for (const [name, { value, unit }] of Object.entries(parameters)) lines.push(['parameter', name, value, unit, '', ''])
  for (const [name, tally] of Object.entries(rows.tallies)) {
    lines.push(['count', name, tally.count, '', '', ''])
    for (const one of tally.subjects) lines.push(['of', name, one.count, one.name, '', ''])
    if (tally.otherSubjects > 0) lines.push(['of', name, tally.otherSubjects, 'others', '', ''])
  }
  for (const [name, values] of Object.entries(rows.facts)) {
    for (const [member, value] of Object.entries(isObject(values) ? values : {})) {
      lines.push(['fact', `${name}.${member}`, cellOf(value), '', '', ''])
    }
  }
  for (const { name, count, exception } of subjects) lines.push(['broken by', exception ?? '', count, name, '', ''])
  for (const { shard, index, id, breaks } of sample) {
    lines.push(['sample', breaks ? 'breaks' : 'keeps', '', id, shard, index])
  }
  return table(['row', 'name', 'value', 'of', 'shard', 'index'], lines)
}

const cellOf = (value: Json | undefined): Cell =>
  typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean'
    ? value
    : value === null
      ? ''
      : JSON.stringify(value)
