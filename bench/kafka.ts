/**
 * `npm run bench:kafka`: two Kafka clients as the stream of records, in turn, with one and with many records in a
 * message. The client has one core, the broker the other. Trust the CPU column and the ratios. Writes KAFKA.md.
 * Usage: node bench/kafka.ts [SECONDS a row, default 8]
 */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { prepareKafka } from '../audit/node/kafka.ts'
import { utf8 } from '../core/bytes.ts'
import type { StreamBatch } from '../core/ports.ts'
import { newEpoch } from '../core/record.ts'
import { parseSpiffeId } from '../core/spiffe.ts'
import { kafkajs } from '../test/e2e/kafka/adapters.ts'
import type { StreamAdapter } from '../test/e2e/kafka/contract.ts'
import { platformatic } from '../test/e2e/kafka/platformatic.ts'
import { type RunningKafka, startKafka } from '../test/parts/kafka.ts'
import { program } from './load.ts'
import { busyMsOf } from './measure.ts'

const adapters: readonly StreamAdapter[] = [kafkajs, platformatic]
const recordsPerMessage = [1, 10, 400]
/** Epochs that have a batch in flight, four to a partition; the stream sends one at a time to each partition. */
const lanes = 16
const partitions = 4
/** A record of a decision takes 0.8 to 1.3 KB. */
const recordBytes = 1000
const rounds = 3
const warmMs = 2000
const clientCore = 0
const brokerCore = 1

interface Measured {
  readonly client: string
  readonly perMessage: number
  readonly recordsPerSecond: number
  /** Of the client's process, user and system. */
  readonly cpuSecondsPerMillion: number
  /** Share of its core that others had. */
  readonly others: number
}

/** In a process of its own, so that no client pays for what another left behind. */
async function measureHere(name: string, perMessage: number, broker: string, seconds: number): Promise<Measured> {
  const adapter = adapters.find((one) => one.name === name)!
  const topic = `bench-${randomBytes(4).toString('hex')}`
  await prepareKafka({ brokers: [broker], topic, partitions, replication: 1, retentionMs: 60_000 })
  const stream = await adapter.open({ brokers: [broker], topic, clientId: 'bench' })
  const records = Array.from({ length: perMessage }, newRecord)
  let sent = 0
  let over = false
  const running = Array.from({ length: lanes }, async (_, i) => {
    const producer = parseSpiffeId(`spiffe://bank.example/w${i}`)!
    const batch = { producer, epoch: newEpoch((length) => randomBytes(length)), partition: i % partitions, records }
    for (let firstSeq = 0; !over; firstSeq += perMessage) {
      await stream.publish({ ...batch, firstSeq } satisfies StreamBatch)
      sent += perMessage
    }
  })
  const now = () => ({ sent, cpu: process.cpuUsage(), atMs: performance.now(), coreMs: busyMsOf(clientCore) })
  await pause(warmMs)
  const from = now()
  await pause(seconds * 1000)
  const to = now()
  over = true
  await Promise.all(running)
  await stream.close()
  const count = to.sent - from.sent
  const spanMs = to.atMs - from.atMs
  const cpuMs = (to.cpu.user + to.cpu.system - from.cpu.user - from.cpu.system) / 1000
  return {
    ...{ client: name, perMessage },
    recordsPerSecond: (count / spanMs) * 1000,
    cpuSecondsPerMillion: cpuMs / 1000 / (count / 1e6),
    others: Math.max(0, to.coreMs - from.coreMs - cpuMs) / spanMs,
  }
}

/** Random, as ids and hashes are, so that nothing on the way makes it smaller. */
function newRecord(): Uint8Array {
  const head = '{"timestamp":"2026-11-23T17:04:09.123456789Z","pad":"'
  return utf8(
    `${head}${randomBytes(recordBytes)
      .toString('base64')
      .slice(0, recordBytes - head.length - 2)}"}`,
  )
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function measureApart(name: string, perMessage: number, broker: string, seconds: number): Promise<Measured> {
  const before = cpus().length > 1 ? [await program('taskset'), '-c', String(clientCore)] : []
  const command = [...before, process.execPath, import.meta.filename, String(seconds), name, String(perMessage), broker]
  const out = execFileSync(command[0]!, command.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  return JSON.parse(out.slice(out.lastIndexOf('{'))) as Measured
}

async function bench(seconds: number): Promise<void> {
  const kafka = await startKafka({ heapMb: 512, properties: { 'log.retention.check.interval.ms': '5000' } })
  try {
    if (cpus().length > 1) pinToCore(kafka)
    const all: Measured[] = []
    for (let round = 0; round < rounds; round++) {
      for (const perMessage of recordsPerMessage) {
        for (const { name } of adapters) {
          const measured = await measureApart(name, perMessage, kafka.broker, seconds)
          process.stderr.write(`${lineOf(measured)}\n`)
          all.push(measured)
        }
      }
    }
    const text = `${headOf(seconds)}\n\n${tableOf(all)}\n`
    process.stdout.write(text)
    await writeFile(join(import.meta.dirname, 'KAFKA.md'), `# Kafka clients, measured\n\n${text}`)
  } finally {
    await kafka.remove()
  }
}

const pinToCore = (kafka: RunningKafka): unknown =>
  execFileSync('taskset', ['-a', '-p', '-c', String(brokerCore), String(kafka.pid())])

function headOf(seconds: number): string {
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}, Apache Kafka 4.3.1`
  return [
    `${new Date().toISOString().slice(0, 10)}, ${machine}, by \`npm run bench:kafka\`.`,
    `Records of ${recordBytes} bytes, \`acks=all\`, no idempotence, no compression, ${partitions} partitions with one`,
    `message in flight each, through the port that the product uses. Of ${rounds} rounds of ${seconds} s in turn the one`,
    'stands whose core others disturbed least. The client has one core, the broker the other.',
  ].join('\n')
}

function tableOf(all: readonly Measured[]): string {
  const rows = recordsPerMessage.flatMap((perMessage) =>
    adapters.map(({ name }) => {
      const mine = all.filter((one) => one.client === name && one.perMessage === perMessage)
      return lineOf(mine.toSorted((a, b) => a.others - b.others)[0]!)
    }),
  )
  return [
    '| client | records a message | records/s | client CPU s per million records | others on its core |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

function lineOf({ client, perMessage, recordsPerSecond, cpuSecondsPerMillion, others }: Measured): string {
  const rate = Math.round(recordsPerSecond).toLocaleString('en')
  return `| ${client} | ${perMessage} | ${rate} | ${cpuSecondsPerMillion.toFixed(1)} | ${Math.round(others * 100)} % |`
}

if (import.meta.main) {
  const [, , seconds = '8', name, perMessage, broker] = process.argv
  if (name && broker) {
    const measured = await measureHere(name, Number(perMessage), broker, Number(seconds))
    process.stdout.write(JSON.stringify(measured))
  } else await bench(Number(seconds))
}
