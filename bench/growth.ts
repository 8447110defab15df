/**
 * `npm run bench:growth`: the same stream from more producers and over more partitions, into an auditor with a real
 * PostgreSQL; and what the auditor holds in memory over minutes. No broker: messages are handed to it as Kafka's client
 * would. Prints tables.
 * Usage: node --expose-gc bench/growth.ts [--decisions 20000] [--rate 1000] [--minutes 0]
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { type Auditor, openAuditor } from '../audit/node/auditor.ts'
import { openFileSigner } from '../audit/node/signer.ts'
import { openStore } from '../audit/node/store.ts'
import { verifyHead } from '../ca/node/heads.ts'
import { openClock, random, sha256 } from '../cli/wire/machine.ts'
import { startPostgres } from '../test/parts/postgres.ts'
import { sizesOf } from './audit/sizes.ts'
import { openStream, type Stream, stepMs } from './audit/stream.ts'
import { authorityIn, trustDomain } from './certificates.ts'
import { costOf } from './measure.ts'

const { values } = parseArgs({
  options: {
    ...{ decisions: { type: 'string', default: '20000' }, rate: { type: 'string', default: '1000' } },
    ...{ minutes: { type: 'string', default: '0' } },
  },
})
const number = (name: keyof typeof values): number => Number(values[name])

const folder = await mkdtemp(join(tmpdir(), 'writ-growth-'))
await authorityIn(join(folder, 'ca'))
const settings = { shared_buffers: '512MB', max_wal_size: '4GB', max_connections: '60', wal_compression: 'lz4' }
const postgres = await startPostgres({ settings })
try {
  if (number('minutes') > 0) await memory(number('minutes'))
  else await growth()
} finally {
  await postgres.remove()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
process.exit(0)

async function growth(): Promise<void> {
  console.log(
    '| producers | partitions | records | records/s | CPU ms per 1,000 records: auditor | PostgreSQL | bytes a leaf in tables | of them spans | heap MiB after GC |',
  )
  console.log('|---|---|---|---|---|---|---|---|---|')
  for (const [producers, partitions] of [
    [1, 1],
    [10, 1],
    [200, 1],
    [200, 4],
    [200, 16],
    [10, 4],
  ] as const) {
    const name = `p${producers}_${partitions}`
    const { auditor, url, close } = await open(name, partitions)
    const stream = await openStream({ dir: join(folder, 'ca'), producers, partitions, rate: number('rate') })
    await feed(auditor, stream) // Connections, code and dictionaries are warm then.
    const steps = Array.from({ length: Math.ceil((number('decisions') / number('rate') / stepMs) * 1000) }, () =>
      stream.next(),
    )
    const from = {
      at: performance.now(),
      cpu: process.cpuUsage(),
      postgres: costOf(postgres.pid()!).cpuMs,
      records: auditor.status().tally.records,
    }
    for (const messages of steps)
      await Promise.all([...messages].map(([partition, list]) => auditor.ingest(partition, list)))
    await auditor.checkpoint()
    const { user, system } = process.cpuUsage(from.cpu)
    const seconds = (performance.now() - from.at) / 1000
    const records = auditor.status().tally.records - from.records
    const server = costOf(postgres.pid()!).cpuMs - from.postgres
    steps.length = 0
    const heap = heapAfterGc()
    const sizes = await bytesOf(url)
    const leaves = auditor.status().shards.reduce((sum, { size }) => sum + size, 0)
    const per = (bytes: number): string => (bytes / leaves).toFixed(1)
    const thousand = (ms: number): string => (ms / (records / 1000)).toFixed(1)
    console.log(
      `| ${[producers, partitions, records, Math.round(records / seconds), thousand((user + system) / 1000), thousand(server), per(sizes.all), per(sizes.spans), heap.toFixed(1)].join(' | ')} |`,
    )
    await close()
  }
}

/** At a steady rate, the heap after each full collection. */
async function memory(minutes: number): Promise<void> {
  const { auditor, close } = await open('memory', 2)
  auditor.start()
  const stream = await openStream({ dir: join(folder, 'ca'), producers: 50, partitions: 2, rate: number('rate') })
  const began = performance.now()
  const samples: { readonly minute: number; readonly heap: number }[] = []
  console.log('| minute | records | heap MiB after GC | array buffers MiB | RSS MiB |')
  console.log('|---|---|---|---|---|')
  for (let due = began, sampled = began; performance.now() - began < minutes * 60_000; due += stepMs) {
    await feed(auditor, stream)
    await pause(Math.max(0, due + stepMs - performance.now()))
    if (performance.now() - sampled < 30_000) continue
    sampled = performance.now()
    const heap = heapAfterGc()
    const { rss, arrayBuffers } = process.memoryUsage()
    const minute = (sampled - began) / 60_000
    samples.push({ minute, heap })
    console.log(
      `| ${minute.toFixed(1)} | ${auditor.status().tally.records} | ${heap.toFixed(1)} | ${(arrayBuffers / 1024 ** 2).toFixed(1)} | ${Math.round(rss / 1024 ** 2)} |`,
    )
  }
  const later = samples.filter(({ minute }) => minute > minutes / 3)
  console.log(`slope of the heap after the first third: ${slopeOf(later).toFixed(3)} MiB a minute`)
  await close()
}

function slopeOf(samples: readonly { readonly minute: number; readonly heap: number }[]): number {
  const mean = (of: (sample: { minute: number; heap: number }) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length
  const [x, y] = [mean(({ minute }) => minute), mean(({ heap }) => heap)]
  return mean(({ minute, heap }) => (minute - x) * (heap - y)) / mean(({ minute }) => (minute - x) ** 2)
}

async function feed(auditor: Auditor, stream: Stream): Promise<void> {
  await Promise.all([...stream.next()].map(([partition, list]) => auditor.ingest(partition, list)))
}

function heapAfterGc(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 1024 ** 2
}

async function open(name: string, partitions: number) {
  const admin = new pg.Client({ connectionString: postgres.url })
  await admin.connect()
  await admin.query(`create database ${name}`)
  await admin.end()
  const url = postgres.url.replace(/postgres$/, name)
  const logDir = join(folder, name, 'log')
  const store = await openStore({ kind: 'postgres', url, connections: Math.max(8, partitions + 2) }, logDir)
  const signer = await openFileSigner({ dir: join(folder, name, 'signer'), name: `${trustDomain}/audit`, sha256 })
  const roots = (await authorityIn(join(folder, 'ca'))).bundle().roots
  const auditor = await openAuditor({
    ...{ store, logDir, signer, trustDomain, cluster: 'bench', software: 'writ bench', verifyHead },
    ...{ rootsOf: () => roots, now: openClock(), random, sha256 },
    onEvent: (event) => {
      if (event.kind === 'anomaly') console.log(`anomaly ${event.anomaly.anomaly}: ${event.anomaly.detail}`)
    },
  })
  for (let partition = 0; partition < partitions; partition++) await auditor.nextOffset(partition)
  const close = async (): Promise<void> => {
    await auditor.close()
    await signer.close()
    await store.close()
  }
  return { auditor, url, close }
}

async function bytesOf(url: string): Promise<{ readonly all: number; readonly spans: number }> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const sizes = (await sizesOf(client, '')).filter(({ name }) => !name.startsWith('chunks'))
  await client.end()
  const sum = (list: typeof sizes): number => list.reduce((total, { bytes }) => total + bytes, 0)
  return { all: sum(sizes), spans: sum(sizes.filter(({ name }) => name.startsWith('spans'))) }
}
