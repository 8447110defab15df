/** `writ audit disclose` shows what a record's personal fields were; `erase` destroys what opens them. */

import { join } from 'node:path'
import { Command } from 'commander'
import { adminRequest } from '../control/node/client.ts'

interface Options {
  readonly state: string
  readonly by: string
  readonly purpose: string
  readonly subject: string
  readonly basis: string
}

const ask = (state: string, path: string, body: { readonly [name: string]: string }) =>
  adminRequest(join(state, 'admin.sock'), 'POST', path, body)

export const discloseCommand = (): Command =>
  new Command('disclose')
    .description('show the personal fields of a record, where their key is still there; this is recorded')
    .argument('<id>', 'id of the decision')
    .requiredOption('--by <name>', 'who asks')
    .requiredOption('--purpose <text>', 'what for')
    .option('--state <dir>', "the process's state folder", '.writ')
    .action(async (id: string, { state, by, purpose }: Options) => {
      const answer = await ask(state, '/v1/audit/disclose', { id, by, purpose })
      process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`)
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
