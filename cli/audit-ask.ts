/** `writ audit ask`: the canned questions. */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { formatAnswer, formatAnswerCsv } from '../audit/query/answer-format.ts'
import { type CannedAnswer, questions, readAsked } from '../audit/query/questions.ts'
import type { Json } from '../core/json.ts'
import { repeated } from './options.ts'
import type { PlaceOptions } from './place.ts'
import { openAuditDoor, pathWith } from './wire/audit-door.ts'

export interface AskOptions extends PlaceOptions {
  readonly json?: boolean
  readonly csv?: boolean
  readonly prove?: string
  readonly data?: string
  readonly policies?: string
  readonly bundle?: string
  readonly rule?: readonly string[]
  readonly [name: string]: unknown
}

/** Options that go with the question as they are, by the name that a question has for them. */
const passed: Readonly<Record<string, string>> = {
  since: 'since',
  until: 'until',
  limit: 'limit',
  direction: 'direction',
  atLeast: 'at-least',
  over: 'over',
  before: 'before',
  bundle: 'bundle',
  caller: 'caller',
}

export const askCommand = (): Command =>
  new Command('ask')
    .description('ask one of the canned questions; without a name, list them')
    .argument('[name]', 'of a question')
    .argument('[about]', 'whom it is about: a SPIFFE id, the end of its path, or a service')
    .option('--since <time>', 'not before: 15m, 7d or an RFC 3339 time; each question has a default of its own')
    .option('--until <time>', 'only before: likewise')
    .option('--limit <n>', 'rows at most, up to 1000 (default 100)')
    .option('--direction <direction>', 'who-accessed, touched-by: inbound (default), outbound or any')
    .option('--at-least <n>', 'denied-spikes, moved-callers: denials or decisions to look at (5, 50)')
    .option('--over <n>', 'denied-spikes, moved-callers: least score (4), least divergence (0.1)')
    .option('--before <span>', 'moved-callers: how long before is compared with (7d)')
    .option('--bundle <name>', 'unused-grants: of this policy')
    .option('--caller <id>', 'unused-grants: of this caller alone, and of the rules that allowed anybody something')
    .option(
      '--rule <name>',
      'unused-grants: a rule, as reasons of what it allows have it; may be repeated',
      repeated,
      [],
    )
    .option('--policies <dir>', 'unused-grants: folder of policies, for the data of the bundle', 'policies')
    .option('--data <file>', "unused-grants: the policy's data, JSON or YAML, instead")
    .option('--prove <dir>', 'write the record of each row, and its proof, to this folder')
    .option('--json', 'print JSON')
    .option('--csv', 'print CSV')
    .option('--log <dir>', 'folder of the log, for --prove (default: log in the state folder)')
    .option('--key <key>', 'verifier key, for --prove (default: signer/log.pub in the state folder)')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')
    .addHelpText('after', `\n${list()}\nExit code 1: the answer is not what it should be (unidentified, completeness).`)
    .action(ask)

const list = (): string =>
  questions.map(({ name, asks, about }) => `  ${(about ? `${name} X` : name).padEnd(16)} ${asks}\n`).join('')

async function ask(name: string | undefined, about: string | undefined, options: AskOptions): Promise<void> {
  if (name === undefined) {
    process.stdout.write(options.json ? `${JSON.stringify(questions, null, 2)}\n` : `writ audit ask NAME\n\n${list()}`)
    return
  }
  const pairs = Object.entries(passed).flatMap(([option, as]): [string, string][] =>
    options[option] === undefined ? [] : [[as, String(options[option])]],
  )
  for (const rule of options.rule ?? []) pairs.push(['rule', rule])
  if (about !== undefined) pairs.push(['about', about])
  readAsked(name, pairs, Date.now()) // Wrong questions are refused before anybody is asked.
  const data = name === 'unused-grants' ? await grantsData(options) : undefined
  const door = await openAuditDoor(options)
  try {
    const path = pathWith(`/v1/audit/ask/${name}`, pairs)
    const answer = await (data === undefined ? door.ask('GET', path) : door.ask('POST', path, { data }))
    await showAnswer(answer as unknown as CannedAnswer, options)
  } finally {
    await door.close()
  }
}

export async function showAnswer(answer: CannedAnswer, options: AskOptions): Promise<void> {
  if (options.json) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`)
  else if (options.csv) process.stdout.write(formatAnswerCsv(answer))
  else process.stdout.write(formatAnswer(answer, process.stdout.columns))
  if (answer.ok === false) process.exitCode = 1
  if (options.prove === undefined) return
  const wanted = answer.rows.flatMap(({ record, shard, index }) =>
    typeof record === 'string' ? [{ id: record, shard: Number(shard), index: Number(index) }] : [],
  )
  await writeProofs(wanted, options.prove, options)
}

async function grantsData({ data, policies = 'policies', bundle }: AskOptions): Promise<Json | undefined> {
  const { policyData } = await import('./wire/policy-data-file.ts')
  return policyData({
    policies,
    ...(data !== undefined && { data }),
    ...(bundle !== undefined && { bundleName: bundle }),
  })
}

/** Each record once, with the proof that it is in the log, checked as `writ audit prove` does. */
export async function writeProofs(
  wanted: readonly { readonly id: string; readonly shard: number; readonly index: number }[],
  folder: string,
  options: PlaceOptions,
): Promise<void> {
  const [{ proveEntry }, { openPlace }, { formatReceipt }] = await Promise.all([
    import('./wire/proof.ts'),
    import('./place.ts'),
    import('../audit/log/receipt.ts'),
  ])
  const { database: _, ...files } = options
  const { place } = await openPlace(files)
  await mkdir(folder, { recursive: true })
  const once = new Map(wanted.map((one) => [one.id, one]))
  for (const one of once.values()) {
    const { leaf, receipt } = await proveEntry(one, place)
    await writeFile(join(folder, `${one.id}.json`), leaf)
    await writeFile(join(folder, `${one.id}.tlog-proof`), formatReceipt(receipt))
  }
  process.stderr.write(`${once.size} records with their proofs in ${folder}\n`)
}
