/** When reports are due: periods of the calendar, in UTC, each reported on once, after it is over. */

export type ReportPeriod = 'day' | 'week' | 'month' | 'quarter' | 'year'
export const reportPeriods: readonly ReportPeriod[] = ['day', 'week', 'month', 'quarter', 'year']

export type ReportFormat = 'html' | 'pdf' | 'csv' | 'oscal' | 'ocsf' | 'evidence'
export const reportFormats: readonly ReportFormat[] = ['html', 'pdf', 'csv', 'oscal', 'ocsf', 'evidence']

export interface ScheduledReport {
  readonly name: string
  readonly framework: string
  readonly period: ReportPeriod
  /** Folder in which each report gets one of its own. */
  readonly to: string
  /** A declared scope, or `namespace=shop` and its like. Default everything. */
  readonly scope?: string
  /** Beside `report.json`. */
  readonly formats: readonly ReportFormat[]
}

export interface Period {
  /** `2026-11-28`, `2026-W48` (ISO 8601), `2026-11`, `2026-Q4`, `2026`. */
  readonly label: string
  /** From included, to not; milliseconds since 1970. */
  readonly fromMs: number
  readonly toMs: number
}

const dayMs = 86_400_000

/** The period that a moment lies in. */
export function periodAt(period: ReportPeriod, atMs: number): Period {
  const at = new Date(atMs)
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()]
  const months = (first: number, count: number, label: string): Period => ({
    ...{ label, fromMs: Date.UTC(year, first), toMs: Date.UTC(year, first + count) },
  })
  const two = (number: number): string => String(number).padStart(2, '0')
  switch (period) {
    case 'day': {
      const fromMs = Math.floor(atMs / dayMs) * dayMs
      return { label: new Date(fromMs).toISOString().slice(0, 10), fromMs, toMs: fromMs + dayMs }
    }
    case 'week': {
      const fromMs = Math.floor(atMs / dayMs) * dayMs - ((at.getUTCDay() + 6) % 7) * dayMs
      const thursday = new Date(fromMs + 3 * dayMs) // A week is of the year of its Thursday.
      const first = Date.UTC(thursday.getUTCFullYear(), 0)
      const number = Math.floor((thursday.getTime() - first) / (7 * dayMs)) + 1
      return { label: `${thursday.getUTCFullYear()}-W${two(number)}`, fromMs, toMs: fromMs + 7 * dayMs }
    }
    case 'month':
      return months(month, 1, `${year}-${two(month + 1)}`)
    case 'quarter':
      return months(month - (month % 3), 3, `${year}-Q${Math.floor(month / 3) + 1}`)
    case 'year':
      return months(0, 12, String(year))
  }
}

/** Periods that are made up for after a long silence. */
const maxMissed = 12

/** What is over and not made, oldest first: since the last that was made, or where none was, the newest alone. */
export function duePeriods(period: ReportPeriod, lastFromMs: number | undefined, nowMs: number): readonly Period[] {
  const due: Period[] = []
  let one = periodAt(period, periodAt(period, nowMs).fromMs - 1)
  while (due.length < maxMissed && (lastFromMs === undefined ? due.length === 0 : one.fromMs > lastFromMs)) {
    due.unshift(one)
    one = periodAt(period, one.fromMs - 1)
  }
  return due
}

/** Which files of a report a format is. */
const pathsOf: Readonly<Record<ReportFormat, RegExp>> = {
  html: /^report\.html$/,
  pdf: /^report\.html$/, // It is printed from the page.
  csv: /^csv\//,
  oscal: /^(?:assessment-results|component-definition|poam)\.json$/,
  ocsf: /^ocsf\.ndjson$/,
  evidence: /^$/,
}

export const hasPath = (formats: readonly ReportFormat[], path: string): boolean =>
  formats.some((format) => pathsOf[format].test(path))
