/** `writ audit findings` shows what the log tells by itself; `writ audit acknowledge` keeps who looked at it. */

import { join } from 'node:path'
import { Command } from 'commander'
import type { FoundEntry } from '../audit/findings/ocsf.ts'
import type { FindingsAnswer } from '../audit/query/node/findings.ts'
import { layTable } from '../audit/query/table.ts'
import { adminRequest } from '../control/node/client.ts'
import { askRunning } from './ask.ts'
import { number } from './options.ts'

interface Options {
  readonly open?: boolean
  readonly all?: boolean
  readonly ocsf?: boolean
  readonly json?: boolean
  readonly limit: number
  readonly state: string
  readonly database?: string
}

export const findingsCommand = (): Command =>
  new Command('findings')
    .description('show what the log tells by itself: what is new and odd, and what is wrong with records; newest first')
    .option('--open', 'only those that nobody acknowledged')
    .option('--all', 'also those that only inform, such as a check that has come to pass')
    .option('--limit <n>', 'findings at most, up to 1000', number, 100)
    .option('--json', 'print JSON')
    .option('--ocsf', 'print OCSF findings, one a line')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')
    .action(async (options: Options) => {
      const answer = await answerTo(options)
      if (options.ocsf) {
        const [{ ocsfFinding }, { version }] = await Promise.all([
          import('../audit/findings/ocsf.ts'),
          import('./version.ts'),
        ])
        for (const one of answer.findings) {
          const trustDomain = /^spiffe:\/\/([^/]+)/.exec(one.body.subject)?.[1] ?? ''
          process.stdout.write(`${JSON.stringify(ocsfFinding(one, { version, trustDomain }))}\n`)
        }
      } else if (options.json) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`)
      else process.stdout.write(`${tableOf(answer).join('\n')}\n`)
    })

export const acknowledgeCommand = (): Command =>
  new Command('acknowledge')
    .description('record that a person looked at a finding, and what they say of it')
    .argument('<id>', 'of a finding, as `writ audit findings` prints it')
    .requiredOption('--by <name>', 'who looked at it')
    .requiredOption('--note <text>', 'what it was')
    .option('--state <dir>', "the control process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (id: string, options: { by: string; note: string; state: string; json?: boolean }) => {
      const path = `/v1/audit/findings/${encodeURIComponent(id)}/acknowledge`
      const { by, note } = options
      const answer = await adminRequest(join(options.state, 'admin.sock'), 'POST', path, { by, note })
      process.stdout.write(options.json ? `${JSON.stringify(answer)}\n` : `${id} was acknowledged by ${by}\n`)
    })

async function answerTo(options: Options): Promise<FindingsAnswer> {
  const { open = false, all = false, limit } = options
  if (options.database === undefined) {
    const query = new URLSearchParams({ limit: String(limit), open: String(open), all: String(all) })
    const answer = await askRunning(options.state, `/v1/audit/findings?${query}`)
    if (answer !== undefined) return answer as unknown as FindingsAnswer
  }
  const [{ findingsIn }, { openStore }, { storeOf }] = await Promise.all([
    import('../audit/query/node/findings.ts'),
    import('../audit/node/store.ts'),
    import('./place.ts'),
  ])
  const store = await openStore(storeOf(options))
  return findingsIn(store.db, { open, all, limit }).finally(() => store.close())
}

function tableOf({ findings, counts }: FindingsAnswer): readonly string[] {
  if (findings.length === 0) return ['nothing was found']
  const columns = [
    { title: 'TIME (UTC)' },
    { title: 'SEVERITY' },
    { title: 'WHAT', shrinksTo: 24 },
    { title: 'ACKNOWLEDGED', shrinksTo: 8 },
    { title: 'ID' },
  ]
  const lost = Object.entries(counts).map(([name, count]) => `${name}: ${count}`)
  return [...layTable(columns, findings.map(cellsOf)), ...lost]
}

const cellsOf = ({ id, foundMs, body, acknowledged }: FoundEntry): readonly string[] => [
  new Date(foundMs).toISOString().slice(0, 19).replace('T', ' '),
  body.severity,
  body.what,
  acknowledged ? `${acknowledged.by}: ${acknowledged.note}` : '-',
  id,
]
