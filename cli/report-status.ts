/** `writ report status` and `writ report schedule`: what stands between reports, and which reports come of themselves. */

import { Command } from 'commander'
import type { CheckStatus } from '../audit/query/node/checks.ts'
import { layTable } from '../audit/query/table.ts'
import { WritError } from '../core/fault.ts'
import { askRunning } from './ask.ts'
import type { ScheduleAnswer, StatusAnswer } from './wire/compliance-watch.ts'

interface Options {
  readonly state: string
  readonly database?: string
  readonly json?: boolean
}

export const statusOfChecksCommand = (): Command =>
  new Command('status')
    .description('show how each check stands between reports, since when, and the records that broke it')
    .argument('[check]', 'one check, with how it turned')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')
    .option('--json', 'print JSON')
    .action(async (check: string | undefined, options: Options) => {
      const answer = await statusFrom(options)
      const checks = answer.checks.filter((one) => check === undefined || one.check === check.toUpperCase())
      if (options.json) process.stdout.write(`${JSON.stringify({ ...answer, checks }, null, 2)}\n`)
      else process.stdout.write(`${statusLines({ ...answer, checks }, check !== undefined).join('\n')}\n`)
    })

export const scheduleCommand = (): Command =>
  new Command('schedule')
    .description('list the reports that are made of themselves: the last of each, and the next')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (options: Options) => {
      const answer = (await askRunning(options.state, '/v1/audit/schedule')) as unknown as ScheduleAnswer | undefined
      if (!answer) throw nobodyRuns(options.state)
      if (options.json) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`)
      else process.stdout.write(`${scheduleLines(answer).join('\n')}\n`)
    })

async function statusFrom(options: Options): Promise<StatusAnswer> {
  if (options.database === undefined) {
    const answer = await askRunning(options.state, '/v1/audit/checks')
    if (answer !== undefined) return answer as unknown as StatusAnswer
    throw nobodyRuns(options.state)
  }
  const [{ checksIn }, { openStore }] = await Promise.all([
    import('../audit/query/node/checks.ts'),
    import('../audit/node/store.ts'),
  ])
  const store = await openStore({ kind: 'postgres', url: options.database })
  try {
    return { everyMs: undefined, periodMs: undefined, lookedAt: undefined, checks: await checksIn(store.db) }
  } finally {
    await store.close()
  }
}

const nobodyRuns = (state: string): WritError =>
  new WritError('unavailable', `no process runs on ${state}`, {
    cure: 'start `writ up`, or name its state folder with --state',
  })

function statusLines({ checks, lookedAt, everyMs }: StatusAnswer, whole: boolean): readonly string[] {
  const looked =
    lookedAt !== undefined
      ? `last looked at ${lookedAt}`
      : everyMs === undefined
        ? 'whether anything is looked at between reports, the mesh file says: spec.audit.compliance.status'
        : 'not looked at yet since the start'
  if (checks.length === 0) return ['no check had enough to tell yet', looked]
  const columns = [{ title: 'SINCE (UTC)' }, { title: 'CHECK' }, { title: 'SAYS' }, { title: 'WHY', shrinksTo: 24 }]
  const rows = checks.flatMap(({ check, turns }) =>
    turns.slice(0, whole ? turns.length : 1).map(({ at, is, accepted, finding }) => {
      return [at.slice(0, 19).replace('T', ' '), check, accepted ? `${is}, accepted` : is, finding]
    }),
  )
  return [...layTable(columns, rows), ...checks.flatMap(brokenLines), looked]
}

/** One step to what broke it. */
function brokenLines({ check, turns: [now] }: CheckStatus): readonly string[] {
  if (now?.is !== 'fail') return []
  return now.records.map((id) => `${check} was broken by ${id}: writ audit prove ${id}`)
}

function scheduleLines({ reports }: ScheduleAnswer): readonly string[] {
  if (reports.length === 0) return ['no report is scheduled: the mesh file has none in spec.audit.compliance.reports']
  const columns = [{ title: 'NAME' }, { title: 'FRAMEWORK' }, { title: 'LAST' }, { title: 'ENTRY' }, { title: 'NEXT' }]
  const rows = reports.map(({ name, framework, last, next }) => [
    ...[name, framework, last?.label ?? '-', last?.id ?? '-', `${next.label}, after ${next.at.slice(0, 16)}Z`],
  ])
  const faults = reports.flatMap(({ name, fault }) => (fault === undefined ? [] : [`${name} was not made: ${fault}`]))
  return [...layTable(columns, rows), ...faults]
}
