/** `writ report attest`: what a named person answers for, with the documents that it rests on, as an entry of the log. */

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { Command, Option } from 'commander'
import { messageOf, WritError } from '../core/fault.ts'
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
      const id = await tell(options.state, '/v1/attestations', { about, subject, statement, by: options.by, documents })
      if (id === undefined) {
        throw new WritError('unavailable', `no process runs on ${options.state} to keep it`, {
          cure: 'start `writ up` or `writ control`, or name its state folder with --state',
        })
      }
      process.stdout.write(`in the log as ${id}\n`)
    })

async function digestOf(file: string): Promise<{ readonly name: string; readonly sha256: string }> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new WritError('not_found', `${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  return { name: basename(file), sha256: createHash('sha256').update(bytes).digest('hex') }
}
