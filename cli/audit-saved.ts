/** `writ audit save`, `run`, `list` and `remove`: questions that are kept under a name. */

import { Command } from 'commander'
import type { Answer } from '../audit/query/answer.ts'
import { formatCsv } from '../audit/query/format.ts'
import type { SavedQuestion } from '../audit/query/node/saved.ts'
import { layTable } from '../audit/query/table.ts'
import { chosen, chosenBy, withChoice } from './audit-choice.ts'
import { printTable } from './audit-table.ts'
import { number } from './options.ts'
import { type AuditDoor, openAuditDoor, pathWith } from './wire/audit-door.ts'

interface SavedOptions {
  readonly state: string
  readonly database?: string
  readonly json?: boolean
  readonly csv?: boolean
  readonly shadow?: boolean
  readonly [name: string]: unknown
}

const placed = (command: Command): Command =>
  command
    .option('--json', 'print JSON')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')

async function at<T>(options: SavedOptions, work: (door: AuditDoor) => Promise<T>): Promise<T> {
  const door = await openAuditDoor(options)
  try {
    return await work(door)
  } finally {
    await door.close()
  }
}

export const savedCommands = (): readonly Command[] => [
  placed(withChoice(new Command('save').description('keep a question under a name').argument('<name>')))
    .option('--shadow', 'what policies on trial would have decided')
    .option('--limit <n>', 'rows at most, up to 1000', number)
    .action(async (name: string, options: SavedOptions) => {
      const pairs = chosen(options, [...chosenBy, 'limit'])
      if (options.shadow) pairs.push(['shadow', 'only'])
      const asked = new URLSearchParams(pairs).toString()
      const saved = await at(options, (door) =>
        door.ask('PUT', `/v1/audit/saved/${encodeURIComponent(name)}`, { asked }),
      )
      process.stdout.write(
        options.json ? `${JSON.stringify(saved, null, 2)}\n` : `saved ${name}: writ audit run ${name}\n`,
      )
    }),
  placed(new Command('run').description('ask a question that was saved').argument('<name>'))
    .option('--limit <n>', 'rows at most, up to 1000', number)
    .option('--cursor <cursor>', 'go on where the answer before ended')
    .option('--csv', 'print CSV')
    .action(async (name: string, options: SavedOptions) => {
      const pairs = chosen(options, ['limit', 'cursor'])
      const path = pathWith(`/v1/audit/saved/${encodeURIComponent(name)}/run`, pairs)
      const answer = (await at(options, (door) => door.ask('GET', path))) as unknown as Answer
      if (options.json) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`)
      else if (options.csv) process.stdout.write(formatCsv(answer.rows))
      else printTable(answer)
    }),
  placed(new Command('list').description('list the questions that were saved')).action(
    async (options: SavedOptions) => {
      const found = await at(options, (door) => door.ask('GET', '/v1/audit/saved'))
      const { questions } = found as unknown as { readonly questions: readonly SavedQuestion[] }
      if (options.json) process.stdout.write(`${JSON.stringify(questions, null, 2)}\n`)
      else if (questions.length === 0) process.stdout.write('no question is saved\n')
      else {
        const rows = questions.map(({ name, asked, savedBy, savedAt }) => [
          name,
          [...new URLSearchParams(asked)].map(([option, value]) => `--${option} ${value}`).join(' ') || 'all decisions',
          savedBy,
          savedAt.slice(0, 16).replace('T', ' '),
        ])
        const columns = [
          { title: 'NAME' },
          { title: 'ASKS', shrinksTo: 16 },
          { title: 'SAVED BY' },
          { title: 'AT (UTC)' },
        ]
        process.stdout.write(`${layTable(columns, rows, undefined, process.stdout.columns).join('\n')}\n`)
      }
    },
  ),
  placed(new Command('remove').description('forget a question that was saved').argument('<name>')).action(
    async (name: string, options: SavedOptions) => {
      const removed = await at(options, (door) => door.ask('DELETE', `/v1/audit/saved/${encodeURIComponent(name)}`))
      process.stdout.write(options.json ? `${JSON.stringify(removed, null, 2)}\n` : `removed ${name}\n`)
    },
  ),
]
