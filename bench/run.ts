/**
 * `npm run bench`: proxies side by side under one load. The proxy has one core, load and upstream the other; nginx runs
 * first and last, so that the table itself shows how steady the machine was. Trust the CPU column and the ratios.
 * Usage: node bench/run.ts [SECONDS, default 10] [part of the names of the rows to run]
 */

import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareKafka } from '../audit/node/kafka.ts'
import { messageOf } from '../core/fault.ts'
import { type RunningKafka, startKafka } from '../test/parts/kafka.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import { buildShim, type LoadResult, program, putUnderLoad } from './load.ts'
import { busyMsOf, type Cost, costOf } from './measure.ts'
import { startNginxProxy, startUpstream } from './peers/nginx.ts'
import { startSocketsProxy } from './peers/sockets.ts'
import { type BenchPolicy, bankPolicy, peersPolicy } from './policies.ts'
import { headOf, type Row, tableOf } from './table.ts'
import { type Ended, probes, type RunningProxy, startWritProxy } from './writ.ts'

interface Case {
  readonly name: string
  readonly repeated: number
  readonly tls: Certificates | undefined
  readonly start: (upstreamPort: number) => Promise<RunningProxy>
}

interface Bench {
  readonly folder: string
  readonly certificates: Certificates
  readonly peers: BenchPolicy
  /** Undefined where there is no Kafka to be had. */
  readonly kafka: RunningKafka | undefined
  /** In front of a command, to pin it. */
  readonly onProxyCore: readonly string[]
  readonly onOtherCore: readonly string[]
}

const warmSeconds = 2
const connections = 32
const proxyCore = 0
const otherCore = 1
const attempts = 3
/** Share of the proxy's core that others may use before the row is measured again. */
const quiet = 0.1

function casesOf({ folder, certificates, peers, kafka, onProxyCore: before }: Bench): Case[] {
  const nginx = (name: string, tls: boolean): Case => {
    const with_ = tls ? certificates : undefined
    const start = (upstreamPort: number) => startNginxProxy({ upstreamPort, tls: with_, before })
    return { name: `nginx, ${name}`, repeated: 0.9, tls: with_, start }
  }
  const sockets = (name: string, tls: boolean): Case => {
    const with_ = tls ? certificates : undefined
    const start = (upstreamPort: number) => startSocketsProxy({ upstreamPort, tls: with_, before })
    return { name: `node's sockets, ${name}`, repeated: 0.9, tls: with_, start }
  }
  const writ = (name: string, tls: boolean, policy?: BenchPolicy, repeated = 0.9): Case => ({
    name: `writ, ${name}`,
    repeated,
    tls: tls ? certificates : undefined,
    start: async (upstreamPort) => {
      const judged = policy && { ...policy, kafka: kafka && { broker: kafka.broker, topic: await newTopic(kafka) } }
      return startWritProxy({ upstreamPort, tls, certificates, judged, before, folder })
    },
  })
  return [
    nginx('plain (first)', false),
    nginx('mTLS (first)', true),
    sockets('plain', false),
    sockets('mTLS', true),
    writ('plain', false),
    writ('mTLS', true),
    writ('mTLS, policy and records, 90 % repeated', true, peers),
    writ('mTLS, policy and records, 0 % repeated', true, peers, 0),
    writ("mTLS, the bank's policy and records, 90 % repeated", true, bankPolicy),
    nginx('plain (last)', false),
    nginx('mTLS (last)', true),
  ]
}

let topics = 0
async function newTopic({ broker }: RunningKafka): Promise<string> {
  const topic = `records-${++topics}`
  await prepareKafka({ brokers: [broker], topic, partitions: 1, replication: 1 })
  return topic
}

async function measure(one: Case, seconds: number, { folder, onOtherCore }: Bench): Promise<Row> {
  const upstream = await startUpstream(onOtherCore)
  const proxy = await one.start(upstream.port).catch(async (thrown) => {
    await upstream.remove()
    throw thrown
  })
  try {
    const load = { port: proxy.port, repeated: one.repeated, tls: one.tls, before: onOtherCore, folder, connections }
    // Connections, caches and compiled code are there once it is warm.
    const warm = await putUnderLoad({ ...load, seconds: warmSeconds })
    const before = { ...costOf(proxy.pid()!), coreMs: busyMsOf(proxyCore) }
    const result = await putUnderLoad({ ...load, seconds })
    const row = rowOf(one.name, result, before, { ...costOf(proxy.pid()!), coreMs: busyMsOf(proxyCore) })
    const ended = await proxy.end?.()
    if (ended) checkRecords(one.name, warm.requests + result.requests, ended)
    return { ...row, ended }
  } finally {
    await proxy.remove()
    await upstream.remove()
  }
}

/**
 * As many records as responses, all of them allowed, and as many outcomes. Beyond what the load generator counted there
 * are the requests in flight when it stopped: one a connection at most, and one load to warm, one to measure.
 */
function checkRecords(name: string, responses: number, { kept, requests, published, refused }: Ended): void {
  if (!kept) return
  const decided = kept.allowed + kept.denied + kept.faults
  const wrong = [
    decided !== requests && `${decided} decisions on the disk, ${requests} requests served`,
    kept.denied !== probes && `${kept.denied} denials, ${probes} expected`,
    kept.faults > 0 && `${kept.faults} faults`,
    (kept.allowed < responses || kept.allowed > responses + 2 * connections) &&
      `${kept.allowed} allowed on the disk, ${responses} responses counted`,
    kept.outcomes !== decided && `${kept.outcomes} outcomes of ${decided} decisions`,
    published !== kept.records && `${published} records in the stream, ${kept.records} on the disk`,
    refused > 0 && `${refused} records refused`,
  ].filter((fault) => fault !== false)
  if (wrong.length > 0) throw new Error(`${name}: ${wrong.join('; ')}`)
}

interface CoreCost extends Cost {
  /** What its core did, whoever for. */
  readonly coreMs: number
}

function rowOf(name: string, result: LoadResult, before: CoreCost, after: CoreCost): Omit<Row, 'ended'> {
  const cpuMs = after.cpuMs - before.cpuMs
  const spanMs = result.durationUs / 1000
  return {
    ...result,
    name,
    cpuMsPerThousand: (cpuMs / result.requests) * 1000,
    busy: cpuMs / spanMs,
    others: Math.max(0, after.coreMs - before.coreMs - cpuMs) / spanMs,
    rssBytes: after.rssBytes,
  }
}

/** A row whose core was shared is measured again; of three attempts the quietest stands, whatever its figure. */
async function quietest(one: Case, seconds: number, bench: Bench): Promise<Row> {
  let best: Row | undefined
  for (let attempt = 0; attempt < attempts; attempt++) {
    process.stderr.write(`${one.name} (load ${loadavg()[0]!.toFixed(1)}) ... `)
    const row = await measure(one, seconds, bench)
    const shared = `${Math.round(row.others * 100)} % of its core were others`
    process.stderr.write(`${row.cpuMsPerThousand.toFixed(1)} ms, ${shared}\n`)
    if (!best || row.others < best.others) best = row
    if (best.others <= quiet) break
  }
  return best!
}

async function bench(seconds: number, only: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-bench-'))
  const kafka = await kafkaOnOtherCore()
  try {
    const pinned = cpus().length > 1 ? [await program('taskset'), '-c'] : []
    const onto = (core: number): readonly string[] => (pinned.length > 0 ? [...pinned, String(core)] : [])
    const certificates = await makeCertificates(folder)
    await buildShim(folder)
    const peers = await peersPolicy(folder)
    const cores = { onProxyCore: onto(proxyCore), onOtherCore: onto(otherCore) }
    const parts: Bench = { folder, certificates, peers, kafka, ...cores }
    const rows: Row[] = []
    for (const one of casesOf(parts).filter(({ name }) => name.includes(only))) {
      rows.push(await quietest(one, seconds, parts))
    }
    process.stdout.write(`${tableOf(rows)}\n`)
    if (only === '') await writeResults(`${headOf(seconds, connections, kafka !== undefined)}\n\n${tableOf(rows)}`)
  } finally {
    await kafka?.remove()
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

if (import.meta.main) await bench(Number(process.argv[2] ?? 10), process.argv[3] ?? '')
