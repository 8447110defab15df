/** What tests of the stream stand on: topics, records that know who wrote them, and all that a topic holds. */

import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type Admin, Kafka, logLevel } from 'kafkajs'
import { useCodecs } from '../../../audit/node/kafka-codec.ts'
import { utf8 } from '../../../core/bytes.ts'
import type { Stream, StreamBatch } from '../../../core/ports.ts'
import { type Epoch, newEpoch } from '../../../core/record.ts'
import { parseSpiffeId, type SpiffeId } from '../../../core/spiffe.ts'

/** A client of its own, so that what an adapter says is held against what the broker has. */
function plain(broker: string): Kafka {
  useCodecs() // Where it reads what another process has sent.
  return new Kafka({ clientId: 'looks-on', brokers: [broker], logLevel: logLevel.NOTHING, retry: { retries: 12 } })
}

export async function asAdmin<T>(broker: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = plain(broker).admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

let topics = 0

export interface TopicOptions {
  /** Default 1. */
  readonly partitions?: number
  /** Node ids that have each partition. Default: the broker's choice of one. */
  readonly replicas?: readonly number[]
  readonly settings?: Readonly<Record<string, string>>
}

/** A topic of this test alone. */
export async function newTopic(broker: string, options: TopicOptions = {}): Promise<string> {
  const { partitions = 1, replicas, settings = {} } = options
  const topic = `records-${++topics}`
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
  const spread = replicas && {
    replicaAssignment: Array.from({ length: partitions }, (_, partition) => ({ partition, replicas: [...replicas] })),
  }
  const shape = spread ?? { numPartitions: partitions, replicationFactor: 1 }
  await asAdmin(broker, async (admin) => {
    await admin.createTopics({ waitForLeaders: false, topics: [{ topic, configEntries, ...shape }] })
    const hasLeaders = async (): Promise<boolean> => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]!.partitions.every(({ leader }) => leader >= 0)
    }
    while (!(await hasLeaders().catch(() => false))) await pause(50)
  })
  return topic
}

export interface Found {
  readonly partition: number
  readonly offset: string
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
}

/** All messages of a topic, each partition in order. */
export async function contentOf(broker: string, topic: string): Promise<Found[]> {
  const ends = await asAdmin(broker, (admin) => admin.fetchTopicOffsets(topic))
  const left = new Map(ends.filter(({ high }) => high !== '0').map(({ partition, high }) => [partition, BigInt(high)]))
  const found: Found[] = []
  if (left.size === 0) return found
  const consumer = plain(broker).consumer({
    groupId: `looks-on-${randomBytes(6).toString('hex')}`,
    maxWaitTimeInMs: 100,
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || reject(payload.error))
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ partition, message: { offset, key, value, headers } }) => {
          const texts = Object.entries(headers ?? {}).map(([name, text]) => [name, String(text)] as const)
          found.push({ partition, offset, key: String(key), value: String(value), headers: Object.fromEntries(texts) })
          if (BigInt(offset) + 1n >= (left.get(partition) ?? 0n)) left.delete(partition)
          if (left.size === 0) resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
  return found
}

/** One that writes records of an epoch, numbered, on one partition. */
export interface Writer {
  readonly producer: SpiffeId
  readonly epoch: Epoch
  readonly partition: number
  /** The next `count` records. */
  next(count: number, bytes?: number): StreamBatch
}

export function newWriter(name: string, partition: number): Writer {
  const producer = parseSpiffeId(`spiffe://bank.example/${name}`)!
  const epoch = newEpoch((length) => randomBytes(length))
  let seq = 0
  return {
    ...{ producer, epoch, partition },
    next(count, bytes = 0) {
      const firstSeq = seq
      const timestamp = '2026-11-23T17:04:09.123456789Z'
      const pad = bytes > 0 ? randomBytes(bytes / 2).toString('hex') : ''
      const records = Array.from({ length: count }, () => utf8(JSON.stringify({ epoch, pad, seq: seq++, timestamp })))
      return { producer, epoch, partition, firstSeq, records }
    },
  }
}

/** A record's name: epoch and number. */
export const namesOf = ({ epoch, firstSeq, records }: StreamBatch): string[] =>
  records.map((_, i) => `${epoch}-${firstSeq + i}`)

export function namesIn(value: string): string[] {
  return value.split('\n').map((line) => {
    const { epoch, seq } = JSON.parse(line) as { readonly epoch: string; readonly seq: number }
    return `${epoch}-${seq}`
  })
}

/** What of the acknowledged is not there, and whose first arrivals are out of order. */
export function faultsOf(acknowledged: readonly string[], arrived: readonly string[]): string[] {
  const first = new Set(arrived)
  const lost = acknowledged.filter((name) => !first.has(name)).map((name) => `${name} is lost`)
  const last = new Map<string, number>()
  const disordered: string[] = []
  for (const name of first) {
    const [epoch, seq] = [name.slice(0, name.lastIndexOf('-')), Number(name.slice(name.lastIndexOf('-') + 1))]
    if (seq !== (last.get(epoch) ?? -1) + 1) disordered.push(`${name} came after ${last.get(epoch)}`)
    last.set(epoch, seq)
  }
  return [...lost, ...disordered]
}

/** As the pump does: each batch again until the stream has it, the next one after it. Gives what was acknowledged. */
export async function pumpUntil(stream: Stream, writer: Writer, over: () => boolean, bytes = 200): Promise<string[]> {
  const acknowledged: string[] = []
  while (!over()) {
    const batch = writer.next(5, bytes)
    for (;;) {
      try {
        await stream.publish(batch)
        break
      } catch {
        await pause(100)
      }
    }
    acknowledged.push(...namesOf(batch))
    await pause(5)
  }
  return acknowledged
}

/** Resolves once it is so; rejects, with what was seen last, where it is not within two minutes. */
export async function eventually(isSo: () => boolean, seen: () => unknown): Promise<void> {
  const due = performance.now() + 120_000
  while (!isSo()) {
    if (performance.now() > due) throw new Error(`not so in time: ${JSON.stringify(seen())?.slice(0, 2000)}`)
    await pause(50)
  }
}
