/** What the Mesh document says of compliance: what checks are held against, how often, and which reports are made of themselves. */

import { z } from 'zod'
import {
  type ReportFormat,
  type ReportPeriod,
  reportFormats,
  reportPeriods,
  type ScheduledReport,
} from '../../audit/report/schedule.ts'
import { ageMs } from './keeping.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import { duration, durationMs, name } from './words.ts'

export interface ComplianceSpec {
  readonly declared?: string
  readonly checks?: string
  readonly frameworks?: string
  readonly status?: { readonly every?: string; readonly period?: string }
  readonly reports?: readonly {
    readonly name: string
    readonly framework: string
    readonly period: ReportPeriod
    readonly to: string
    readonly scope?: string
    readonly formats?: readonly ReportFormat[]
  }[]
}

/** Paths are as written: relative to the mesh file's folder. */
export interface ComplianceSettings {
  readonly declared?: string
  readonly checks?: string
  readonly frameworks?: string
  /** Default: no check is looked at between reports. Every 15 minutes over a day by default, in milliseconds. */
  readonly status?: { readonly everyMs: number; readonly periodMs: number }
  readonly reports: readonly ScheduledReport[]
}

const path = z.string().min(1).max(1024)

export const complianceSpec: z.ZodType<ComplianceSpec> = z
  .strictObject({
    declared: path
      .describe('File with inventory, zones, approvals, readers, exceptions. Default none.')
      .exactOptional(),
    checks: path.describe('Folder of further checks: YAML with their Rego beside them.').exactOptional(),
    frameworks: path.describe('Folder of further frameworks: YAML.').exactOptional(),
    status: z
      .strictObject({
        every: duration.describe('Time between two looks, 1m to 24h. Default 15m.').exactOptional(),
        period: z
          .string()
          .regex(/^(?:[0-9]{1,5}d|(?:[0-9]{1,5}(?:h|m|s)){1,3})$/, { error: 'is not a time such as 7d or 36h' })
          .describe('How much time is looked at, up to now, 1h to 400d. Default 24h.')
          .exactOptional(),
      })
      .describe('Look at every check between reports; a check that turns is a finding. Default: do not.')
      .exactOptional(),
    reports: z
      .array(
        z.strictObject({
          name: name.describe('Of the schedule: the log and the folders have it.'),
          framework: z.string().min(1).max(128).describe('Framework, or all.'),
          period: z.enum(reportPeriods as [ReportPeriod]).describe('Period of the calendar (UTC) of each report.'),
          to: path.describe('Folder below which each report gets a folder of its own.'),
          scope: z.string().min(1).max(1024).describe('Declared scope, or service=, namespace=, …').exactOptional(),
          formats: z
            .array(z.enum(reportFormats as [ReportFormat]))
            .min(1)
            .max(reportFormats.length)
            .describe('Beside report.json. Default html, csv, oscal, ocsf.')
            .exactOptional(),
        }),
      )
      .max(64)
      .describe('Reports that are made, signed and logged once for each period, after it is over.')
      .exactOptional(),
  })
  .describe('Compliance of this mesh.')

const [minute, hour, day] = [60_000, 3_600_000, 86_400_000]

export function complianceOf<Spec extends { readonly audit?: { readonly compliance?: ComplianceSpec } }>(
  mesh: Placed<Spec>,
): { readonly compliance: ComplianceSettings; readonly problems: readonly Problem[] } {
  const { status, reports = [], ...paths } = mesh.spec.audit?.compliance ?? {}
  const problems: Problem[] = []
  const at = (steps: readonly (string | number)[], problem: string, cure: string): void => {
    problems.push(problemAt(mesh, ['spec', 'audit', 'compliance', ...steps], problem, cure))
  }
  const everyMs = status?.every === undefined ? 15 * minute : durationMs(status.every)
  const periodMs = status?.period === undefined ? day : ageMs(status.period)
  const within = 'give a time within that'
  if (everyMs < minute || everyMs > day) at(['status', 'every'], `${status?.every} is not between 1m and 24h`, within)
  if (periodMs < hour || periodMs > 400 * day) {
    at(['status', 'period'], `${status?.period} is not between 1h and 400d`, within)
  }
  reports.forEach((one, i) => {
    if (reports.findIndex(({ name }) => name === one.name) < i) {
      at(['reports', i, 'name'], `there are two reports ${one.name}`, 'give each a name of its own')
    }
  })
  return {
    compliance: {
      ...paths,
      ...(status && { status: { everyMs, periodMs } }),
      reports: reports.map(({ formats = ['html', 'csv', 'oscal', 'ocsf'], ...one }) => ({ ...one, formats })),
    },
    problems,
  }
}
