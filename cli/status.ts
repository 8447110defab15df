/** `writ status`: what each workload of the mesh runs, from the control process of this machine. */

import { join } from 'node:path'
import { Command } from 'commander'
import type { TrialHealth, VersionHealth } from '../control/health.ts'
import { adminRequest } from '../control/node/client.ts'
import type { PolicyDataStatus } from '../control/node/policy-data-routes.ts'
import type { ReturnedWeight } from '../control/returned-weights.ts'
import { type RolledBack, rolledBackText } from '../control/rollbacks.ts'
import { returnedText } from '../proxy/flow/versions.ts'
import type { Alarm } from './wire/alarms.ts'

interface Status {
  readonly trust_domain: string
  readonly cluster: string
  readonly snapshot: string
  readonly workloads: readonly {
    readonly name: string
    readonly current: boolean
    readonly reported_at?: string
    readonly report?: {
      readonly not_after?: string
      readonly spool?: { readonly state: string; readonly pending: number }
      readonly faults_passed?: number
      readonly trials?: readonly TrialHealth[]
      readonly versions?: readonly VersionHealth[]
    }
  }[]
  readonly returned?: readonly ReturnedWeight[]
  readonly rolled_back?: readonly RolledBack[]
  readonly alarms?: readonly Alarm[]
}

type Data = PolicyDataStatus

interface Source {
  readonly bundle: string
  readonly url: string
  readonly signed: boolean
  readonly revision?: string
  readonly rolled_back: boolean
  readonly answered_at?: string
  readonly problem?: string
  readonly kept: readonly { readonly revision: string }[]
}

export function statusCommand(): Command {
  return new Command('status')
    .description('show what each workload runs, and where policies that are asked of a server stand')
    .option('--state <dir>', "the control process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (options: { state: string; json?: boolean }) => {
      const socket = join(options.state, 'admin.sock')
      const status = (await adminRequest(socket, 'GET', '/v1/status')) as unknown as Status
      const { sources } = (await adminRequest(socket, 'GET', '/v1/policy-sources')) as unknown as { sources: Source[] }
      const { data } = (await adminRequest(socket, 'GET', '/v1/policy-data')) as unknown as { data: Data[] }
      process.stdout.write(
        options.json
          ? `${JSON.stringify({ ...status, policy_sources: sources, policy_data: data })}\n`
          : `${formatStatus(status)}${formatAlarms(status)}${formatTrials(status)}${formatVersions(status)}${formatSources(sources)}${formatData(data)}`,
      )
    })
}

export function formatStatus({ trust_domain, cluster, snapshot, workloads }: Status): string {
  const rows = workloads.map(({ name, current, reported_at, report }) => [
    name,
    reported_at === undefined ? 'never reported' : current ? 'current' : 'behind',
    reported_at?.slice(0, 19) ?? '-',
    report?.not_after?.slice(0, 19) ?? '-',
    report?.spool ? `${report.spool.state}, ${report.spool.pending} to send` : '-',
  ])
  const head = ['WORKLOAD', 'SNAPSHOT', 'REPORTED (UTC)', 'CERTIFICATE UNTIL', 'SPOOL']
  return `${trust_domain}, cluster ${cluster}, snapshot ${snapshot}\n\n${tableOf([head, ...rows])}`
}

/** Empty where nothing is overdue. */
export function formatAlarms({ alarms = [] }: Pick<Status, 'alarms'>): string {
  if (alarms.length === 0) return ''
  const rows = alarms.map(({ code, subject, since, text }) => [code, subject, since.slice(0, 19), text])
  return `\n${tableOf([['ALARM', 'OF', 'SINCE (UTC)', 'WHY'], ...rows])}`
}

/** Empty where no policy is on trial and nothing passed unjudged. */
export function formatTrials({ workloads, rolled_back = [] }: Pick<Status, 'workloads' | 'rolled_back'>): string {
  const rows = workloads.flatMap(({ name, report }) =>
    (report?.trials ?? []).map((trial) => [
      trial.name,
      trial.mode,
      `${trial.bundle} ${trial.revision || '(not there)'}`,
      name,
      ...[trial.asked, trial.same, trial.differ, trial.faults, trial.dropped].map(String),
      refusalsText(trial),
    ]),
  )
  const head = ['TRIAL', 'MODE', 'POLICY', 'WORKLOAD', 'ASKED', 'SAME', 'DIFFER', 'FAULTS', 'DROPPED', 'REFUSALS']
  const table = rows.length > 0 ? `\n${tableOf([head, ...rows])}` : ''
  const notes = [
    ...rolled_back.map((one) => `taken back ${one.at.slice(0, 19)}: ${rolledBackText(one)} (by ${one.by})\n`),
    ...workloads.flatMap(({ name, report }) =>
      report?.faults_passed ? [`${name}: ${report.faults_passed} requests passed that nobody could judge\n`] : [],
    ),
  ]
  return `${table}${notes.length > 0 ? '\n' : ''}${notes.join('')}`
}

/** Empty where no backend of a route is on trial. */
export function formatVersions({ workloads, returned = [] }: Pick<Status, 'workloads' | 'returned'>): string {
  const share = ({ asked, refused, in_force_asked, in_force_refused }: VersionHealth['errors']): string =>
    `${refused} of ${asked}, others ${in_force_refused} of ${in_force_asked}`
  const rows = workloads.flatMap(({ name, report }) =>
    (report?.versions ?? []).map(({ route, backend, version, errors, slow, returned }) => [
      route,
      version === undefined ? backend : `${backend} ${version}`,
      name,
      share(errors),
      slow ? share(slow) : '-',
      returned ? 'went back' : 'on trial',
    ]),
  )
  const table =
    rows.length > 0 ? `\n${tableOf([['ROUTE', 'BACKEND', 'CALLER', 'FAILED', 'SLOW', 'WEIGHT'], ...rows])}` : ''
  const notes = returned.map((one) => `weight went back ${one.at.slice(0, 19)}: ${returnedText(one)} (by ${one.by})\n`)
  return `${table}${notes.length > 0 ? '\n' : ''}${notes.join('')}`
}

function refusalsText({ numbers, rolled_back }: TrialHealth): string {
  if (!numbers) return '-'
  const { asked, refused, in_force_asked, in_force_refused } = numbers
  const text = `${refused} of ${asked}, in force ${in_force_refused} of ${in_force_asked}`
  return rolled_back ? `${text}: taken back` : text
}

/** Empty where all policies lie in the policies folder. */
export function formatSources(sources: readonly Source[]): string {
  if (sources.length === 0) return ''
  const rows = sources.map(({ bundle, revision, rolled_back, signed, answered_at, kept }) => [
    bundle,
    `${revision ?? 'none yet'}${rolled_back ? ' (rolled back)' : ''}`,
    signed ? 'verified' : 'unsigned',
    answered_at?.slice(0, 19) ?? 'never',
    kept.map((one) => one.revision).join(' ') || '-',
  ])
  const problems = sources.flatMap(({ bundle, url, problem }) => (problem ? [`${bundle}: ${url}: ${problem}\n`] : []))
  const head = ['POLICY SOURCE', 'REVISION', 'SIGNATURE', 'ANSWERED (UTC)', 'KEPT']
  return `\n${tableOf([head, ...rows])}${problems.length > 0 ? '\n' : ''}${problems.join('')}`
}

/** Empty where no policy reads data beside its bundle. */
export function formatData(data: readonly Data[]): string {
  if (data.length === 0) return ''
  const rows = data.map(({ name, bundle, path, revision, age_s, max_age_s, stale }) => [
    name,
    `${bundle}, data.${path.replaceAll('/', '.')}`,
    revision ?? 'none yet',
    age_s === undefined ? '-' : `${age_s} s${max_age_s === undefined ? '' : ` of ${max_age_s} s`}`,
    revision === undefined ? 'missing' : stale ? 'stale' : 'good',
  ])
  const problems = data.flatMap(({ name, from, problem }) => (problem ? [`${name}: ${from}: ${problem}\n`] : []))
  const head = ['POLICY DATA', 'READ BY', 'REVISION', 'AGE', 'STATE']
  return `\n${tableOf([head, ...rows])}${problems.length > 0 ? '\n' : ''}${problems.join('')}`
}

export function tableOf(table: readonly (readonly string[])[]): string {
  const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)))
  const lines = table.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}
