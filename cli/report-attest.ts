/** `writ report attest` and `declare`: what a named person answers for, as an entry of the log. */

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { Command, Option } from 'commander'
import { readYaml } from '../audit/report/node/catalogue.ts'
import { messageOf, WritError } from '../core/fault.ts'
import type { Json } from '../core/json.ts'
import { repeated } from './options.ts'
import { tell } from './report-entry.ts'

interface AttestOptions {
  readonly about: 'access-review' | 'evidence'
  readonly by: string
  readonly document: readonly string[]
  readonly state: string
}

export const attestCommand = (): Command =>
  new Command('attest')
    .description('sign off an access review, or attach evidence that no record shows; it becomes an entry of the log')
    .argument('<subject>', 'what it speaks of: a check, a part of a framework, a scope')
    .argument('<statement>', 'what is said')
    .requiredOption('--by <name>', 'who says so')
    .addOption(new Option('--about <what>', 'what it is').choices(['access-review', 'evidence']).default('evidence'))
    .option('--document <file>', 'a document that it rests on: its name and SHA-256 are kept; may repeat', repeated, [])
    .option('--state <dir>', "the process's state folder", '.writ')
    .action(async (subject: string, statement: string, options: AttestOptions) => {
      const documents = await Promise.all(options.document.map(digestOf))
      const about = options.about === 'access-review' ? 'access_review' : 'evidence'
      await attest(options.state, { about, subject, statement, by: options.by, documents })
    })

export const declareCommand = (): Command =>
  new Command('declare')
    .description(
      'put what checks are held against into the log: zones, flows, approvals, inventory, readers, exceptions',
    )
    .argument('<file>', 'a declared file, of at most 48 KiB; without scopes and parameters')
    .requiredOption('--by <name>', 'who declares it')
    .option('--state <dir>', "the process's state folder", '.writ')
    .action(async (file: string, { by, state }: { readonly by: string; readonly state: string }) => {
      const [declared, document] = await Promise.all([readYaml(file), digestOf(file)])
      const statement = `declared as in ${document.name}`
      const subject = Object.keys((declared ?? {}) as object).join(', ')
      await attest(state, {
        about: 'declaration',
        subject,
        statement,
        by,
        documents: [document],
        declared: declared as Json,
      })
    })

async function attest(state: string, body: Json): Promise<void> {
  const id = await tell(state, '/v1/attestations', body)
  if (id === undefined) {
    throw new WritError('unavailable', `no process runs on ${state} to keep it`, {
      cure: 'start `writ up` or `writ control`, or name its state folder with --state',
    })
  }
  process.stdout.write(`in the log as ${id}\n`)
}

async function digestOf(file: string): Promise<{ readonly name: string; readonly sha256: string }> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new WritError('not_found', `${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  return { name: basename(file), sha256: createHash('sha256').update(bytes).digest('hex') }
}
