/**
 * `npm run bench`: proxies side by side under one load. The proxy has one core, load and upstream the other; nginx runs
 * first and last, so that the table itself shows how steady the machine was. Trust the CPU column and the ratios.
 * Usage: node bench/run.ts [SECONDS, default 6] [--only PART]... [--once]
 * `--only`: a part of the names of rows, or the name of a table, which `--list` prints. `--once`: no row is measured again.
 */

import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { messageOf } from '../core/fault.ts'
import { type RunningKafka, startKafka } from '../test/parts/kafka.ts'
import { type Bench, type Case, casesOf, groups } from './cases.ts'
import { makeCertificates } from './certificates.ts'
import { buildShim, program } from './load.ts'
import { buildOpa } from './peers/opa.ts'
import { peersPolicy } from './policies.ts'
import { measure, otherCore, proxyCore } from './rows.ts'
import { headOf, type Row, tablesOf } from './table.ts'
import { buildWorker } from './writ.ts'

const usualAttempts = 3
/** Share of the proxy's core that others may use before the row is measured again. */
const quiet = 0.1

/** A row whose core was shared is measured again; of three attempts the quietest stands, whatever its figure. */
async function quietest(one: Case, seconds: number, bench: Bench, attempts: number): Promise<Row> {
  let best: Row | undefined
  for (let attempt = 0; attempt < attempts; attempt++) {
    process.stderr.write(`${one.name} (load ${loadavg()[0]!.toFixed(1)}) ... `)
    const row = await measure(one, seconds, bench)
    const shared = `${Math.round(row.others * 100)} % of its core were others`
    process.stderr.write(`${row.cpuMsPerThousand.toFixed(1)} ms, ${shared}\n`)
    if (!best || row.others < best.others) best = row
    if (best.others <= quiet || one.load.kind === 'idle') break
  }
  return best!
}

async function bench(seconds: number, only: readonly string[], attempts: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-bench-'))
  const kafka = await kafkaOnOtherCore()
  let opa: Promise<string> | undefined
  try {
    const pinned = cpus().length > 1 ? [await program('taskset'), '-c'] : []
    const onto = (core: number): readonly string[] => (pinned.length > 0 ? [...pinned, String(core)] : [])
    const certificates = await makeCertificates(folder)
    await buildShim(folder)
    const parts: Bench = {
      ...{ folder, certificates, kafka, peers: await peersPolicy(folder), worker: await buildWorker() },
      ...{ onProxyCore: onto(proxyCore), onOtherCore: onto(otherCore) },
      opa: () => {
        opa ??= buildOpa()
        return opa
      },
    }
    const wanted = ({ name, group }: Case): boolean =>
      only.length === 0 || only.some((part) => group === part || name.includes(part))
    const rows: Row[] = []
    const missing: string[] = []
    for (const one of (await casesOf(parts)).filter(wanted)) {
      try {
        rows.push(await quietest(one, seconds, parts, attempts))
      } catch (thrown) {
        // One peer that cannot be had, or one row that does not hold, is said and keeps no other from being measured.
        const wrong = `${one.name}: ${messageOf(thrown)}`
        process.stderr.write(`not measured: ${wrong}\n`)
        missing.push(`Not measured: ${wrong.split('\n')[0]}`)
      }
    }
    const measured = [tablesOf(rows), ...missing].join('\n\n')
    process.stdout.write(`${measured}\n`)
    if (only.length === 0) await writeResults(`${headOf(seconds, kafka !== undefined)}\n\n${measured}`)
    if (missing.length > 0) process.exitCode = 1
  } finally {
    await kafka?.remove()
    if (opa) await opa.then((program) => rm(dirname(program), { recursive: true, force: true })).catch(() => {})
    await rm(folder, { recursive: true, force: true })
  }
}

/** What people wrote below the measured part stays. */
async function writeResults(measured: string): Promise<void> {
  const path = join(import.meta.dirname, 'RESULTS.md')
  const before = await readFile(path, 'utf8').catch(() => '')
  const notes = before.indexOf('\n## ')
  await writeFile(path, `# Measured\n\n${measured}\n${notes < 0 ? '' : before.slice(notes)}`)
}

async function kafkaOnOtherCore(): Promise<RunningKafka | undefined> {
  try {
    const kafka = await startKafka()
    if (cpus().length > 1) execFileSync('taskset', ['-a', '-p', '-c', String(otherCore), String(kafka.pid())])
    return kafka
  } catch (thrown) {
    process.stderr.write(`no Kafka here, so records stay in the process: ${messageOf(thrown)}\n`)
    return undefined
  }
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { only: { type: 'string', multiple: true }, list: { type: 'boolean' }, once: { type: 'boolean' } },
  })
  if (values.list) process.stdout.write(`${Object.keys(groups).join('\n')}\n`)
  else await bench(Number(positionals[0] ?? 6), values.only ?? [], values.once ? 1 : usualAttempts)
}
