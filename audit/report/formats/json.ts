/** The report as JSON: members in one order, so that the same report is the same bytes wherever it was made. */

import type { ComplianceReport } from '../../../core/compliance.ts'

/** `NaN` and its like cannot stand in it: numbers come from counts. */
export const reportJson = (report: ComplianceReport): string => `${JSON.stringify(sorted(report), null, 2)}\n`

export const documentJson = (document: unknown): string => `${JSON.stringify(document, null, 2)}\n`

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  )
}
