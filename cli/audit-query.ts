/** `writ audit query`: decisions, newest first. */

import { Command } from 'commander'
import type { Answer } from '../audit/query/answer.ts'
import { formatCsv } from '../audit/query/format.ts'
import { chosen, chosenBy, withChoice } from './audit-choice.ts'
import { findByField, wantedFields } from './audit-fields.ts'
import { disclosed } from './audit-personal.ts'
import { printTable } from './audit-table.ts'
import { number, repeated } from './options.ts'
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
    .option(
      '--field <name=value>',
      'a personal field by its clear value; opens records to compare, which is recorded; more than once',
      repeated,
      [],
    )
    .option('--by <name>', 'who asks for them')
    .option('--purpose <text>', 'what for')
    .option('--json', 'print JSON: rows, and the cursor of the next page')
    .option('--csv', 'print CSV')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')
    .action(async (options: QueryOptions) => {
      const pairs = chosen(options, [...asked, 'limit', 'cursor'])
      if (options['shadow']) pairs.push(['shadow', 'only'])
      const fields = options['field'] as readonly string[]
      if (fields.length > 0) return print(await searched(pairs, fields, options), options)
      const found = await answerTo(pairs, options)
      print(options['disclose'] ? { ...found, rows: await disclosed(found.rows, options) } : found, options)
    })

async function searched(
  pairs: readonly [string, string][],
  fields: readonly string[],
  options: QueryOptions,
): Promise<Answer> {
  const { unreadable, ...found } = await findByField({
    ask: (cursor) =>
      answerTo(
        [
          ...pairs.filter(([name]) => name !== 'cursor'),
          ...(cursor ? [['cursor', cursor] satisfies [string, string]] : []),
        ],
        options,
      ),
    open: (rows) => disclosed(rows, options),
    wanted: wantedFields(fields),
    cursor: pairs.find(([name]) => name === 'cursor')?.[1],
    limit: Number(options['limit']),
  })
  if (unreadable > 0)
    process.stderr.write(`${unreadable} records have such fields, and were erased or cannot be opened here\n`)
  return found
}

function print(answer: Answer, options: QueryOptions): void {
  if (options.json) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`)
  else if (options.csv) process.stdout.write(formatCsv(answer.rows))
  else printTable(answer)
}
