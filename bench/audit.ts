/**
 * `npm run bench:audit`: the audit path whole, with real Kafka and PostgreSQL, from decisions in the proxies' recorder to
 * rows and signed checkpoints. Writes a page. Questions over many decisions: `npm run bench:questions`.
 * Usage: node bench/audit.ts [--seconds 60] [--rate 10000] [--producers 20] [--processes 1] [--partitions 1]
 *   [--page FILE]
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { prepareKafka } from '../audit/node/kafka.ts'
import { startKafka } from '../test/parts/kafka.ts'
import { startPostgres } from '../test/parts/postgres.ts'
import { watchLag } from './audit/lag.ts'
import { startPart } from './audit/part.ts'
import { sizesOf } from './audit/sizes.ts'
import { authorityIn } from './certificates.ts'
import { costOf } from './measure.ts'

const { values } = parseArgs({
  options: {
    ...{ seconds: { type: 'string', default: '60' }, rate: { type: 'string', default: '10000' } },
    ...{ producers: { type: 'string', default: '20' }, processes: { type: 'string', default: '1' } },
    ...{ partitions: { type: 'string', default: '1' } },
    page: { type: 'string', default: 'audit-path.md' },
  },
})
const number = (name: keyof typeof values): number => Number(values[name])
const say = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`)
const lines: string[] = []
const row = (...cells: readonly (string | number)[]): void => void lines.push(`| ${cells.join(' | ')} |`)

const folder = await mkdtemp(join(tmpdir(), 'writ-audit-bench-'))
const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true, maxRetries: 5 })]
try {
  await run()
} finally {
  for (const step of closing.reverse()) await step().catch((thrown: unknown) => say(String(thrown)))
}
process.exit(0)

async function run(): Promise<void> {
  await authorityIn(join(folder, 'ca'))
  say('starting PostgreSQL and Kafka')
  const settings = { shared_buffers: '1GB', max_wal_size: '4GB', max_connections: '50', wal_compression: 'lz4' }
  const postgres = await startPostgres({ settings })
  closing.push(() => postgres.remove())
  const kafka = await startKafka({ heapMb: 512 })
  closing.push(() => kafka.remove())
  const topic = 'writ.records.v1'
  await prepareKafka({
    ...{ brokers: [kafka.broker], topic, partitions: number('partitions'), replication: 1, retentionMs: 3_600_000 },
  })
  const database = new pg.Client({ connectionString: postgres.url })
  await database.connect()
  closing.push(() => database.end())

  await throughput({ broker: kafka.broker, topic, url: postgres.url, database, kafka, postgres })
  await writeFile(values.page, `${headOf()}\n${lines.join('\n')}\n`)
  say(`wrote ${values.page}`)
}

async function throughput(parts: {
  readonly broker: string
  readonly topic: string
  readonly url: string
  readonly database: pg.Client
  readonly kafka: { pid(): number | undefined }
  readonly postgres: { pid(): number | undefined }
}): Promise<void> {
  const { broker, topic, url, database, kafka, postgres } = parts
  const auditor = startPart('bench/audit/auditor.ts', folder, broker, topic, url)
  await auditor.ready()
  const processes = number('processes')
  const [producers, rate] = [number('producers') / processes, number('rate') / processes]
  const proxies = Array.from({ length: processes }, (_, i) =>
    startPart('bench/audit/producer.ts', folder, broker, topic, String(Math.ceil(producers)), String(rate), `p${i}`),
  )
  for (const proxy of proxies) await proxy.ready()
  // The consumer's group takes a while; measured is from where the auditor has caught up on.
  const lag = watchLag(url)
  const due = performance.now() + 90_000
  while (performance.now() < due && (auditor.last['ingested'] === 0 || lag.nowMs() > 3000)) await pause(250)
  lag.reset()
  const kept = (): number => proxies.reduce((sum, { last }) => sum + (last['kept'] ?? 0), 0)
  const cpu = () => ({
    producers: proxies.reduce((sum, { last }) => sum + (last['cpuMs'] ?? 0), 0),
    broker: costOf(kafka.pid()!).cpuMs,
    auditor: auditor.last['cpuMs'] ?? 0,
    postgres: costOf(postgres.pid()!).cpuMs,
  })
  const from = { at: performance.now(), kept: kept(), ingested: auditor.last['ingested']!, cpu: cpu() }
  const memory: number[] = []
  for (let second = 1; second <= number('seconds'); second++) {
    await pause(1000)
    memory.push((auditor.last['rss'] ?? 0) / 1024 ** 2)
    if (second % 5 === 0) {
      const spent = (performance.now() - from.at) / 1000
      say(
        `${second} s: ${Math.round((kept() - from.kept) / spent)} decisions/s kept, auditor ${Math.round(
          (auditor.last['ingested']! - from.ingested) / spent,
        )} records/s, behind ${lag.nowMs()} ms, ${Math.round(memory.at(-1)!)} MiB`,
      )
    }
  }
  const to = { at: performance.now(), kept: kept(), ingested: auditor.last['ingested']!, cpu: cpu() }
  const waits = await lag.close()
  for (const proxy of proxies) await proxy.end()
  await pause(3000)
  await auditor.end()
  const seconds = (to.at - from.at) / 1000
  const decisions = to.kept - from.kept
  lines.push('## From spool to signed checkpoint', '')
  row('what', 'value')
  row('---', '---')
  row('decisions/s kept by the recorders, each with its outcome', Math.round(decisions / seconds))
  row('records/s in the ledger (with outcomes and heads)', Math.round((to.ingested - from.ingested) / seconds))
  for (const [name, { p50, p99 }] of Object.entries(waits)) row(name, `p50 ${p50} ms, p99 ${p99} ms`)
  const spent = (part: keyof typeof to.cpu, count: number): string =>
    ((to.cpu[part] - from.cpu[part]) / (count / 1000)).toFixed(1)
  for (const part of ['producers', 'broker'] as const)
    row(`CPU ms per 1,000 decisions: ${part}`, spent(part, decisions))
  // An auditor that lags has not paid for what waits.
  const records = to.ingested - from.ingested
  for (const part of ['auditor', 'postgres'] as const) row(`CPU ms per 1,000 records: ${part}`, spent(part, records))
  const quarter = Math.max(1, memory.length >> 2)
  const mean = (list: readonly number[]): number => Math.round(list.reduce((a, b) => a + b, 0) / list.length)
  row('auditor RSS MiB, first and last quarter', `${mean(memory.slice(0, quarter))}, ${mean(memory.slice(-quarter))}`)
  lines.push('', '## Bytes', '')
  const { rows } = await database.query('select sum(last - first + 1)::float8 as n from batches')
  await table(database, join(folder, 'log'), Number(rows[0].n))
}

async function table(database: pg.Client, logDir: string, leaves: number): Promise<void> {
  row('what', 'MiB', 'bytes a leaf')
  row('---', '---', '---')
  for (const { name, bytes } of await sizesOf(database, logDir)) {
    row(name, (bytes / 1024 ** 2).toFixed(1), (bytes / leaves).toFixed(1))
  }
}

function headOf(): string {
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}`
  return `# The audit path, measured

${new Date().toISOString().slice(0, 10)}, ${machine}, load ${loadavg()[0]!.toFixed(1)} at the end. Kafka, PostgreSQL, auditor and proxies share
the machine. Made by \`npm run bench:audit\`: ${number('producers')} producers in ${number('processes')} process(es), ${number('rate')} decisions/s asked for, ${number('partitions')} partition(s),
${number('seconds')} s.
`
}
