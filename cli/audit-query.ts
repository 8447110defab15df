/** `writ audit query`: decisions, newest first. */

import { Command } from 'commander'
import { formatCsv } from '../audit/query/format.ts'
import { chosen, chosenBy, withChoice } from './audit-choice.ts'
import { disclosed } from './audit-personal.ts'
import { printTable } from './audit-table.ts'
import { number } from './options.ts'
import { answerTo } from './wire/answer.ts'

interface QueryOptions {
  readonly state: string
  readonly database?: string
  readonly json?: boolean
  readonly csv?: boolean
  readonly [name: string]: string | boolean | number | readonly string[] | undefined
}

const asked = [...chosenBy, 'requestId', 'id']

export const queryCommand = (): Command =>
  withChoice(new Command('query').description('find decisions, newest first'))
    .option('--request-id <id>', 'all hops of one call')
    .option('--id <id>', 'one decision')
    .option('--shadow', 'instead, what policies on trial would have decided; `writ policy trial` sums it up')
    .option('--limit <n>', 'rows at most, up to 1000', number, 50)
    .option('--cursor <cursor>', 'go on where the answer before ended')
    .option('--disclose', 'show personal fields whose key is still there; this is recorded')
    .option('--by <name>', 'who asks for them')
    .option('--purpose <text>', 'what for')
    .option('--json', 'print JSON: rows, and the cursor of the next page')
    .option('--csv', 'print CSV')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')
    .action(async (options: QueryOptions) => {
      const pairs = chosen(options, [...asked, 'limit', 'cursor'])
      if (options['shadow']) pairs.push(['shadow', 'only'])
      const found = await answerTo(pairs, options)
      const answer = options['disclose'] ? { ...found, rows: await disclosed(found.rows, options) } : found
      if (options.json) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`)
      else if (options.csv) process.stdout.write(formatCsv(answer.rows))
      else printTable(answer)
    })
