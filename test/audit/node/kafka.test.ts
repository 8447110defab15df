import { gzipSync, zstdCompressSync } from 'node:zlib'
import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import { joinLines } from '../../../audit/node/embedded.ts'
import { kafkaStream, messagesOf } from '../../../audit/node/kafka.ts'
import { isRefusal, unavailable } from '../../../audit/node/kafka-client.ts'
import { useCodecs } from '../../../audit/node/kafka-codec.ts'
import { type Fetched, ingestPartitions, type PartitionPorts } from '../../../audit/node/kafka-ingest.ts'
import type { Notice } from '../../../audit/stream/notice.ts'
import { utf8 } from '../../../core/bytes.ts'
import { WritError } from '../../../core/fault.ts'
import { newEpoch } from '../../../core/record.ts'
import { id, random } from './spool-kit.ts'

const epoch = newEpoch(random)
const batch = (records: readonly Uint8Array[]) => ({
  producer: id('orders'),
  epoch,
  partition: 3,
  firstSeq: 10,
  records,
})

test('a batch is one message while it fits, keyed by its producer, named by its first record', () => {
  const records = [utf8('{"timestamp":"2026-11-23T17:04:09.123456789Z"}'), utf8('{}')]
  const [message, ...more] = messagesOf(batch(records))
  expect(more).toEqual([])
  expect(message).toMatchObject({
    key: 'spiffe://bank.example/orders',
    partition: 3,
    headers: {
      ce_specversion: '1.0',
      ce_id: `spiffe://bank.example/orders/${epoch}/10`,
      ce_type: 'dev.writ.records.v1',
      ce_source: 'spiffe://bank.example/orders',
      ce_time: '2026-11-23T17:04:09.123456789Z',
    },
  })
  expect(message!.value.toString()).toBe('{"timestamp":"2026-11-23T17:04:09.123456789Z"}\n{}')
})

test('a larger batch is several messages in order, none above 512 KiB, and nothing is lost between them', () => {
  const records = Array.from({ length: 30 }, (_, i) => utf8(`${i}:${'x'.repeat(60_000)}`))
  const messages = messagesOf(batch(records))
  expect(messages.length).toBeGreaterThan(1)
  for (const { value } of messages) expect(value.length).toBeLessThanOrEqual(512 * 1024)
  const joined = joinLines(messages.map(({ value }) => value))
  expect(Buffer.compare(joined, joinLines(records))).toBe(0)
  expect(messages[1]!.headers['ce_id']).toBe(`spiffe://bank.example/orders/${epoch}/${10 + 8}`)
})

test('a stream without a broker opens, and each call fails in time with its cause and nothing on the console', async () => {
  const notices: Notice[] = []
  const stream = await kafkaStream({
    brokers: ['127.0.0.1:1'],
    topic: 'records',
    clientId: 'test',
    publishWithinMs: 300,
    onEvent: (notice) => notices.push(notice),
  })
  await expect(stream.publish(batch([utf8('{}')]))).rejects.toMatchObject({ code: 'stream_unavailable' })
  await expect(stream.partitions()).rejects.toMatchObject({ code: 'stream_unavailable' })
  expect(notices.length).toBeGreaterThan(0)
  await stream.close()
  await expect(stream.publish(batch([utf8('{}')]))).rejects.toThrow('closed')
})

test('a batch becomes what it was; one that would become more than 2 MiB is refused', async () => {
  useCodecs()
  const { CompressionCodecs, CompressionTypes } = kafkajs
  const [most, over] = [2 * 1024 ** 2, 2 * 1024 ** 2 + 1].map((size) => new Uint8Array(size))
  const kinds = [
    [CompressionTypes.ZSTD, zstdCompressSync],
    [CompressionTypes.GZIP, gzipSync],
  ] as const
  for (const [type, pack] of kinds) {
    const { compress, decompress } = CompressionCodecs[type]()
    expect(await decompress(await compress({ buffer: Buffer.from('records') }))).toEqual(Buffer.from('records'))
    expect(await decompress(pack(most!))).toHaveLength(most!.length)
    await expect(decompress(pack(over!))).rejects.toThrow()
  }
})

/** As kafkajs throws them: what the broker said lies within how often it was tried. */
const thrownFor = (said: object, name = 'KafkaJSProtocolError'): Error =>
  new Error('tried 5 times', { cause: Object.assign(new Error('what the broker said'), { name }, said) })

test('a refusal leaves the connection alone; what may pass, a failed login and a lost connection do not', () => {
  expect(isRefusal(thrownFor({ type: 'MESSAGE_TOO_LARGE', retriable: false }))).toBe(true)
  expect(isRefusal(thrownFor({ type: 'NOT_ENOUGH_REPLICAS', retriable: true }))).toBe(false)
  expect(isRefusal(thrownFor({ type: 'SASL_AUTHENTICATION_FAILED', retriable: false }))).toBe(false)
  expect(isRefusal(thrownFor({ retriable: false }, 'KafkaJSSASLAuthenticationError'))).toBe(false)
  expect(isRefusal(thrownFor({ retriable: true }, 'KafkaJSConnectionError'))).toBe(false)
})

test('an error of Kafka has its name in the protocol and a cure of its own', () => {
  const of = (type: string) => unavailable({ brokers: ['k:9092'], topic: 'records' }, thrownFor({ type }))
  expect(of('MESSAGE_TOO_LARGE')).toMatchObject({
    code: 'stream_unavailable',
    message: 'Kafka (k:9092, topic records): what the broker said (MESSAGE_TOO_LARGE)',
    cure: expect.stringContaining('max.message.bytes'),
  })
  expect(of('NOT_ENOUGH_REPLICAS').cure).toContain('min.insync.replicas')
  expect(of('TOPIC_AUTHORIZATION_FAILED').cure).toContain('--proxies')
})

/** Partitions as Kafka would drive them: a list of messages, a place to read from. */
function driven(changes: Partial<PartitionPorts> = {}) {
  const ingested: string[] = []
  const seeks: string[] = []
  const paused = new Set<number>()
  const notices: Notice[] = []
  const stop = new AbortController()
  let stored: string | undefined
  const partitions = ingestPartitions({
    offsetOf: async () => stored,
    ingest: async (_, messages) => {
      ingested.push(...messages.map(({ offset }) => offset))
    },
    onEvent: (notice) => notices.push(notice),
    random,
    stop: stop.signal,
    seek: (_, offset) => seeks.push(offset),
    pause: (partition) => paused.add(partition),
    resume: (partition) => paused.delete(partition),
    ...changes,
  })
  const resolved: string[] = []
  const fetched = (offsets: readonly number[], more: Partial<Fetched> = {}): Fetched => ({
    partition: 0,
    messages: offsets.map((offset) => ({ offset: String(offset), key: 'k', value: utf8('{}') })),
    resolve: (offset) => resolved.push(offset),
    heartbeat: async () => {},
    isCurrent: () => true,
    ...more,
  })
  return {
    ...{ partitions, ingested, seeks, paused, notices, stop, resolved, fetched },
    store: (offset: string) => {
      stored = offset
    },
  }
}

test('reading goes on where the ledger stands; what it has is not ingested again', async () => {
  const kafka = driven()
  kafka.store('5')
  kafka.partitions.assigned([0])
  await kafka.partitions.take(kafka.fetched([3, 4, 5, 7]))
  expect(kafka.seeks).toEqual(['5'])
  expect(kafka.ingested).toEqual(['5', '7'])
  await kafka.partitions.take(kafka.fetched([7, 8]))
  expect(kafka.ingested).toEqual(['5', '7', '8'])
  expect(kafka.resolved).toEqual(['7', '8'])
})

test('a ledger that has nothing of a partition wants it from its beginning', async () => {
  const kafka = driven()
  kafka.partitions.assigned([0])
  await kafka.partitions.take(kafka.fetched([0]))
  expect(kafka.seeks).toEqual(['0'])
  expect(kafka.ingested).toEqual(['0'])
})

test('what was fetched before the seek is left alone', async () => {
  const kafka = driven()
  kafka.store('5')
  kafka.partitions.assigned([0])
  await kafka.partitions.take(kafka.fetched([90, 91], { isCurrent: () => false }))
  expect(kafka.ingested).toEqual([])
  expect(kafka.resolved).toEqual([])
})

test('an ingest that fails is tried again with the same messages, and nothing is skipped', async () => {
  let fails = 2
  const tried: string[][] = []
  const kafka = driven({
    ingest: async (_, messages) => {
      tried.push(messages.map(({ offset }) => offset))
      if (fails-- > 0) throw new WritError('store_unavailable', 'the database is away')
    },
  })
  kafka.partitions.assigned([0])
  await kafka.partitions.take(kafka.fetched([0, 1]))
  expect(tried).toEqual([
    ['0', '1'],
    ['0', '1'],
    ['0', '1'],
  ])
  expect(kafka.resolved).toEqual(['1'])
  expect(kafka.notices.map(({ name }) => name)).toEqual(['ingest_failed'])
})

test('fenced stops the partition until it is assigned anew', async () => {
  let isFenced = true
  const ingested: string[] = []
  const kafka = driven({
    ingest: async (_, messages) => {
      if (isFenced) throw new WritError('fenced', 'another owner has it')
      ingested.push(...messages.map(({ offset }) => offset))
    },
  })
  kafka.partitions.assigned([0])
  await kafka.partitions.take(kafka.fetched([0]))
  isFenced = false
  expect([...kafka.paused]).toEqual([0])
  await kafka.partitions.take(kafka.fetched([0]))
  expect(ingested).toEqual([])
  kafka.partitions.assigned([0])
  await kafka.partitions.take(kafka.fetched([0]))
  expect([...kafka.paused]).toEqual([])
  expect(ingested).toEqual(['0'])
})

test('a batch of an assignment that is over moves nothing', async () => {
  const kafka = driven({
    ingest: async () => {
      kafka.partitions.assigned([])
    },
  })
  kafka.partitions.assigned([0])
  await kafka.partitions.take(kafka.fetched([0]))
  expect(kafka.resolved).toEqual([])
})
