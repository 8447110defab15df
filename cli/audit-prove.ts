/** `writ audit prove` writes the proof of one record, `writ audit bundle` a folder of records that strangers can check. */

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import { type EvidenceNotes, evidenceFiles, type Proven } from '../audit/evidence/evidence.ts'
import { extensionsOf, stampedEarlier } from '../audit/evidence/extensions.ts'
import { parseCheckpoint } from '../audit/log/checkpoint.ts'
import { formatVerifierKey, parseNote } from '../audit/log/note.ts'
import { newestCheckpoint, policyFile, witnessedFile } from '../audit/log/prove.ts'
import { formatReceipt } from '../audit/log/receipt.ts'
import type { LogPlace } from '../audit/node/examine.ts'
import { sourcesIn } from '../audit/node/logfolder.ts'
import { stampsOf } from '../audit/node/timestamps.ts'
import type { DecisionRow } from '../audit/query/answer.ts'
import { WritError } from '../core/fault.ts'
import { chosen, withChoice } from './audit-choice.ts'
import type { PlaceOptions } from './place.ts'
import { answerTo } from './wire/answer.ts'

interface ProveOptions extends PlaceOptions {
  readonly out?: string
  readonly json?: boolean
}

export const proveCommand = (): Command =>
  new Command('prove')
    .description('write one record and the proof that it is in the log (C2SP tlog-proof); the proof is checked first')
    .argument('<id>', 'of a record, as `writ audit query` prints it')
    .option('--out <dir>', 'folder to write <id>.json and <id>.tlog-proof to', '.')
    .option('--log <dir>', 'folder of the log (default: log in the state folder)')
    .option('--key <key>', 'verifier key, or a file that holds it (default: signer/log.pub in the state folder)')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL where the record is')
    .option('--json', 'print what was written as JSON')
    .action(prove)

async function prove(id: string, options: ProveOptions): Promise<void> {
  const { locate, proveEntry } = await import('./wire/proof.ts')
  const { place } = await placeOf(options)
  const proven = await proveEntry(await locate(id, options), place)
  const out = options.out ?? '.'
  const files = { record: join(out, `${id}.json`), proof: join(out, `${id}.tlog-proof`) }
  await mkdir(out, { recursive: true })
  await writeFile(files.record, proven.leaf)
  await writeFile(files.proof, formatReceipt(proven.receipt))
  const { origin, size } = parseCheckpoint(parseNote(proven.receipt.note)!.text)!
  const { index } = proven.receipt
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ id, origin, index, size, ...files }, null, 2)}\n`
      : `leaf ${index} of ${origin}, under the signed checkpoint over ${size}\n${files.record}\n${files.proof}\n`,
  )
}

interface BundleOptions extends PlaceOptions {
  readonly out: string
  readonly id?: readonly string[]
  readonly json?: boolean
  readonly [name: string]: unknown
}

const maxRecords = 10_000

export const bundleCommand = (): Command =>
  withChoice(
    new Command('bundle')
      .description('write a folder of decisions, each with its proof, and a script that checks them without Writ')
      .requiredOption('--out <dir>', 'folder to make; it must be empty or not there')
      .option('--id <id...>', 'these decisions; without it those that the other options choose'),
  )
    .option('--log <dir>', 'folder of the log (default: log in the state folder)')
    .option('--key <key>', 'verifier key, or a file that holds it (default: signer/log.pub in the state folder)')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')
    .option('--policy <file>', "witness policy to put in (default: the log's own, where it has one)")
    .option('--json', 'print what was written as JSON')
    .addHelpText('after', `\nAt most ${maxRecords} decisions, newest first.`)
    .action(bundle)

async function bundle(options: BundleOptions): Promise<void> {
  const { locate, proveEntry } = await import('./wire/proof.ts')
  if ((await readdir(options.out).catch(() => [])).length > 0) {
    throw new WritError('usage', `${options.out} is not empty`, { cure: 'name a folder that is not there yet' })
  }
  const { place } = await placeOf(options)
  const pairs = chosen(options)
  if (options.id !== undefined && pairs.length > 0) {
    throw new WritError('usage', `--id and --${pairs[0]![0]} do not go together`, { cure: 'give one of the two' })
  }
  const wanted = options.id
    ? await Promise.all(options.id.map((id) => locate(id, options)))
    : await decisionsBy(pairs, options)
  if (wanted.length === 0)
    throw new WritError('not_found', 'no decision fits', { cure: 'ask `writ audit query` first' })
  const records: Proven[] = []
  for (const one of wanted) records.push(await proveEntry(one, place))
  const asked = options.id ? options.id.join(', ') : pairs.map(([name, value]) => `${name} ${value}`).join(', ')
  const policy = await readFile(options.policy ?? join(place.dir, policyFile), 'utf8').catch((thrown: unknown) => {
    if (options.policy === undefined) return undefined
    throw thrown
  })
  const timestamps = await stampsOf(place.dir, shardsOf(records))
  const files = evidenceFiles(records, {
    ...(policy !== undefined && { policy }),
    verifierKey: formatVerifierKey(place.key),
    asked: asked === '' ? 'all decisions' : asked,
    timestamps,
    ...(await checkpointsOf(place, timestamps)),
  })
  for (const [path, bytes] of files) {
    const target = join(options.out, path)
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, bytes)
  }
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ out: options.out, records: records.length, files: [...files.keys()] }, null, 2)}\n`
      : `${records.length} records with their proofs in ${options.out}; check them with: sh ${join(options.out, 'check.sh')}\n`,
  )
}

/** Says so where there are more than fit: a folder that is silently less than was asked for would mislead. */
async function decisionsBy(pairs: readonly [string, string][], options: PlaceOptions): Promise<readonly DecisionRow[]> {
  const rows: DecisionRow[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page = await answerTo([...pairs, ['limit', '1000'], ['cursor', cursor]], options)
    rows.push(...page.rows)
    cursor = page.next
    if (rows.length > maxRecords || (rows.length === maxRecords && cursor !== null)) {
      throw new WritError('usage', `more than ${maxRecords} decisions fit`, {
        cure: 'choose fewer, for instance by --since',
      })
    }
  }
  return rows
}

const shardsOf = (records: readonly Proven[]): readonly number[] => [...new Set(records.map(({ shard }) => shard))]

/** What others saw is read first: the newest checkpoint is not behind it. */
async function checkpointsOf(
  { dir, sha256 }: LogPlace,
  stamps: ReadonlyMap<string, Uint8Array>,
): Promise<Required<Pick<EvidenceNotes, 'checkpoints' | 'extensions'>>> {
  const checkpoints: { shard: number; note: string; witnessed?: string }[] = []
  const extensions = new Map<string, string>()
  for (const { shard, read } of await sourcesIn(dir)) {
    const witnessed = await newestCheckpoint(read, witnessedFile)
    const newest = await newestCheckpoint(read)
    if (!newest) continue
    checkpoints.push({ shard, note: newest.note, ...(witnessed && { witnessed: witnessed.note }) })
    const seen = witnessed ? [{ note: witnessed.note, path: `checkpoints/${shard}.consistency` }] : []
    const earlier = [...seen, ...stampedEarlier(shard, stamps)]
    for (const one of await extensionsOf(read, newest.note, earlier, sha256)) extensions.set(...one)
  }
  return { checkpoints, extensions }
}

/** The log's files and key; where records are is asked elsewhere. */
async function placeOf({ database: _, ...options }: PlaceOptions): Promise<{ readonly place: LogPlace }> {
  const { openPlace } = await import('./place.ts')
  return openPlace(options)
}
