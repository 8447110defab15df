/**
 * What a compliance report costs on the log that `bench/log/run.ts` made in FOLDER: all 22 checks, each report in a process
 * of its own, and after each a look at the same one without what earlier ones kept.
 * `node bench/report.ts FOLDER`; with `--kept` without those that read everything, with `--threads=N` by so many.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { formatCheckpoint } from '../audit/log/checkpoint.ts'
import { rootAt } from '../audit/log/merkle.ts'
import { noteKey, signNote } from '../audit/log/note.ts'
import { entryAt } from '../audit/log/prove.ts'
import { hashesFromTiles } from '../audit/log/tiles.ts'
import { openKeyFile } from '../audit/node/keyfile.ts'
import { readVerifierKey, sourcesIn } from '../audit/node/logfolder.ts'
import { readDeclared } from '../audit/report/files/declared.ts'
import { reportFiles } from '../audit/report/formats/files.ts'
import { everything } from '../audit/report/gather/scope.ts'
import { readCatalogue } from '../audit/report/node/catalogue.ts'
import { openKept } from '../audit/report/node/kept.ts'
import { compliancePlace } from '../audit/report/node/place.ts'
import { checkpointIn } from '../audit/report/pinned.ts'
import { verifyHead } from '../ca/node/heads.ts'
import { openCheckRules } from '../cli/wire/compliance.ts'
import { sha256 } from '../cli/wire/machine.ts'
import { toHex } from '../core/bytes.ts'
import { parseEvent } from '../core/record.ts'

/** One report. */
interface Asked {
  readonly dir: string
  /** Where sums are kept; without it everything is read. */
  readonly sums?: string
  /** A signed checkpoint. Default the newest. */
  readonly note?: string
  readonly fromMs: number
  readonly toMs: number
  /** Default: one a core. */
  readonly threads?: number
}

interface Cost {
  readonly cpu: number
  readonly wall: number
  readonly mib: number
  readonly leaves: number
  readonly read: number
  readonly doubt: string
  /** Of all its files. */
  readonly sha256: string
}

/** A report of a quarter takes at least what the process, the rules and the formats take. */
async function report({ dir, sums, note, fromMs, toMs, threads }: Asked): Promise<Cost> {
  const began = performance.now()
  const { checks, frameworks } = await readCatalogue({})
  const { judge, rules } = await openCheckRules()
  const key = await readVerifierKey(join(dir, 'signer', 'log.pub'), sha256)
  const kept = sums === undefined ? undefined : await openKept(sums, await openKeyFile(join(dir, 'report.key')))
  const { report, work } = await compliancePlace(
    { dir: join(dir, 'log'), key, verifyHead, sha256, ...(threads !== undefined && { threads }) },
    judge,
    {
      ...{ framework: frameworks.find(({ id }) => id === 'all')!, checks, scope: everything, fromMs, toMs, rules },
      declared: readDeclared(declared, 'declared'),
      ...(note !== undefined && { pins: [{ shard: 0, note, stamps: 0 }] }),
    },
    kept,
  )
  const files = [...reportFiles(report, sha256)].map(([path, bytes]) => `${path} ${toHex(sha256(bytes))}`)
  const { user, system } = process.cpuUsage()
  const wall = (performance.now() - began) / 1000
  const cost = { cpu: (user + system) / 1e6, wall, mib: process.resourceUsage().maxRSS / 1024, ...work }
  return { ...cost, sha256: toHex(sha256(new TextEncoder().encode(files.join('\n')))) }
}

const declared = {
  inventory: { source: 'bench', workloads: ['spiffe://bank.example/*'] },
  zones: { all: ['spiffe://bank.example/*'] },
  flows: [],
  approvals: [],
  readers: ['uid 1000'],
  personal: ['/input/attributes/request/http/headers/x-user'],
}

function apart(asked: Asked): Cost {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [import.meta.filename, '--one', JSON.stringify(asked)],
    {
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    },
  )
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as Cost
}

/** As it was signed when it was so long. */
async function noteAt(dir: string, size: number): Promise<string> {
  const { read } = (await sourcesIn(join(dir, 'log')))[0]!
  const newest = checkpointIn(readFileSync(join(dir, 'log', '0', 'checkpoint'), 'utf8'))!
  const secret = await openKeyFile(join(dir, 'signer', 'log.key'))
  const key = noteKey(sha256, 'bank.example/audit', secret.publicKey)!
  const root = await rootAt(sha256, size, hashesFromTiles(sha256, read, newest.size))
  return signNote(formatCheckpoint({ origin: newest.origin, size, root }), key, secret.sign)
}

async function timeOf(dir: string, index: number, size: number): Promise<number> {
  const read = parseEvent(await entryAt((await sourcesIn(join(dir, 'log')))[0]!.read, index, size))
  return 'event' in read ? Date.parse(read.event.timestamp) : 0
}

async function run(dir: string, onlyKept: boolean, threads: number | undefined): Promise<void> {
  const { size } = checkpointIn(readFileSync(join(dir, 'log', '0', 'checkpoint'), 'utf8'))!
  // The last tenth of it is the last day.
  const before = Math.floor((size * 0.9) / 256) * 256
  const [fromMs, dayMs, toMs] = [0, await timeOf(dir, before, size), 8e15]
  const note = await noteAt(dir, before)
  const sums = join(dir, 'report-sums')
  rmSync(sums, { recursive: true, force: true })
  mkdirSync(sums)
  const every = { dir, ...(threads !== undefined && { threads }) }
  const all = { ...every, fromMs, toMs }
  const day = { ...every, fromMs: dayMs, toMs }
  const rows: readonly (readonly [string, Asked])[] = [
    ['everything read, nothing kept', all],
    ['the first nine tenths, the first time', { ...all, sums, note }],
    ['the last day, a tenth of the log, which is new', { ...day, sums }],
    ['the same day, everything read', day],
    ['the whole time, when all was read before', { ...all, sums }],
    ['the same day again', { ...day, sums }],
  ]
  const line = (cells: readonly string[]): void => void process.stdout.write(`| ${cells.join(' | ')} |\n`)
  line(['report', 'leaves read', 'CPU s', 's', 'peak MiB', 'load', 'SHA-256'])
  line(['---', '---', '---', '---', '---', '---', '---'])
  for (const [name, asked] of rows.filter(([, { sums }]) => sums !== undefined || !onlyKept)) {
    const { cpu, wall, mib, leaves, read, doubt, sha256: digest } = apart(asked)
    const told = doubt === '' ? name : `${name} (not believed: ${doubt})`
    const numbers = [cpu.toFixed(1), wall.toFixed(1), mib.toFixed(0), loadavg()[0]!.toFixed(1)]
    line([told, `${read} of ${leaves}`, ...numbers, digest.slice(0, 12)])
  }
}

const [first = '.cache/million', second, ...rest] = process.argv.slice(2)
const threads = [second, ...rest].find((one) => one?.startsWith('--threads='))?.slice('--threads='.length)
if (first === '--one') process.stdout.write(JSON.stringify(await report(JSON.parse(second!) as Asked)))
else await run(first, [second, ...rest].includes('--kept'), threads === undefined ? undefined : Number(threads))
