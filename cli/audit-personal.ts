/** `writ audit disclose` shows what a record's personal fields were; `erase` destroys what opens them. */

import { join } from 'node:path'
import { Command } from 'commander'
import type { DecisionRow } from '../audit/query/answer.ts'
import { type Opened, withOpened } from '../audit/query/sealed.ts'
import { adminRequest } from '../control/node/client.ts'
import { WritError } from '../core/fault.ts'
import { isObject, type Json } from '../core/json.ts'

interface Options {
  readonly state: string
  readonly by: string
  readonly purpose: string
  readonly subject: string
  readonly basis: string
}

const ask = (state: string, path: string, body: { readonly [name: string]: Json }) =>
  adminRequest(join(state, 'admin.sock'), 'POST', path, body)

export const discloseCommand = (): Command =>
  new Command('disclose')
    .description('show the personal fields of a record, where their key is still there; this is recorded')
    .argument('<id>', 'id of the decision')
    .requiredOption('--by <name>', 'who asks')
    .requiredOption('--purpose <text>', 'what for')
    .option('--state <dir>', "the process's state folder", '.writ')
    .action(async (id: string, { state, by, purpose }: Options) => {
      const [opened] = await open([id], { state, by, purpose })
      process.stdout.write(`${JSON.stringify(opened, null, 2)}\n`)
    })

/** Ids of one request, which is one record in the log. */
const idsAtOnce = 100

async function open(
  ids: readonly string[],
  { state, by, purpose }: Pick<Options, 'state' | 'by' | 'purpose'>,
): Promise<readonly Opened[]> {
  const opened: Opened[] = []
  for (let from = 0; from < ids.length; from += idsAtOnce) {
    const answer = await ask(state, '/v1/audit/disclose', { ids: ids.slice(from, from + idsAtOnce), by, purpose })
    if (!isObject(answer) || !Array.isArray(answer['records'])) {
      throw new WritError('unavailable', 'the answer holds no records', { cure: 'is the process of the same release?' })
    }
    opened.push(...(answer['records'] as unknown as Opened[]))
  }
  return opened
}

/** Opens what the rows withhold, in the name of somebody and for a purpose: without both, nothing is asked for. */
export async function disclosed(
  rows: readonly DecisionRow[],
  { state, by, purpose }: { readonly state: string; readonly by?: unknown; readonly purpose?: unknown },
): Promise<readonly DecisionRow[]> {
  const withheld = rows.filter(({ sealed = [] }) => sealed.some((one) => one.state === 'withheld')).map(({ id }) => id)
  if (typeof by !== 'string' || typeof purpose !== 'string') {
    throw new WritError('usage', '--disclose needs --by and --purpose, which the log keeps')
  }
  return withOpened(rows, await open(withheld, { state, by, purpose }))
}

export const subjectCommand = (): Command =>
  new Command('subject')
    .description("find the records of a subject whose personal fields can still be opened, a shard's newest first")
    .argument('<value>', 'the value of the field that the binding names as subject')
    .requiredOption('--by <name>', 'who asks')
    .requiredOption('--purpose <text>', 'what for')
    .option('--disclose', 'and show their fields')
    .option('--state <dir>', "the process's state folder", '.writ')
    .action(async (subject: string, { disclose, ...asked }: Options & { readonly disclose?: boolean }) => {
      const { state, by, purpose } = asked
      const answer = await ask(state, '/v1/audit/subject', { subject, by, purpose })
      const found = isObject(answer) ? ((answer['records'] ?? []) as unknown as readonly { readonly id: string }[]) : []
      const shown = disclose
        ? await open(
            found.map(({ id }) => id),
            asked,
          )
        : found
      for (const one of shown) process.stdout.write(`${JSON.stringify(one)}\n`)
      if (isObject(answer) && answer['more'] === true) process.stderr.write('there are more: these are a thousand\n')
    })

export const eraseCommand = (): Command =>
  new Command('erase')
    .description("destroy the keys of somebody's personal data; records and proofs stay as they are")
    .requiredOption('--subject <value>', 'whose: the value of the field that the binding names as subject')
    .requiredOption('--basis <text>', 'why: a request, a law, a date')
    .requiredOption('--by <name>', 'who approved it')
    .option('--state <dir>', "the process's state folder", '.writ')
    .action(async ({ state, subject, basis, by }: Options) => {
      const answer = await ask(state, '/v1/audit/erase', { subject, basis, by })
      process.stdout.write(`${JSON.stringify(answer)}\n`)
    })
