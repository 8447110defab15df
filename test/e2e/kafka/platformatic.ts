/** @platformatic/kafka as the stream, to be measured and held against the contract; nothing in the product uses it. */

import { setTimeout as pause } from 'node:timers/promises'
import { Admin, Consumer, MessagesStreamModes, Producer, stringSerializers } from '@platformatic/kafka'
import { type KafkaIngestOptions, type KafkaStreamOptions, messagesOf } from '../../../audit/node/kafka.ts'
import { messageOf, WritError } from '../../../core/fault.ts'
import type { Stream, StreamBatch } from '../../../core/ports.ts'
import type { StreamAdapter } from './contract.ts'

/** As for kafkajs: no idempotence, all replicas, and bounded waits. */
const bounds = { connectTimeout: 5000, requestTimeout: 15_000, retries: 4, retryDelay: 200, autocreateTopics: false }

export const platformatic: StreamAdapter = { name: '@platformatic/kafka', open, read }

async function open({ brokers, topic, clientId, publishWithinMs = 30_000 }: KafkaStreamOptions): Promise<Stream> {
  const of = { ...bounds, clientId, bootstrapBrokers: [...brokers], timeout: publishWithinMs }
  const producer = new Producer<string, Buffer, string, string>({
    ...{ ...of, acks: -1, idempotent: false, compression: 'zstd' },
    serializers: { ...stringSerializers, value: (value?: Buffer) => value },
  })
  const last = new Map<number, Promise<unknown>>()
  let closed = false

  const send = async (batch: StreamBatch): Promise<void> => {
    if (closed) throw new WritError('stream_unavailable', 'the stream is closed')
    try {
      for (const message of messagesOf(batch)) {
        const { offsets } = await producer.send({
          messages: [{ ...message, topic, headers: headersOf(message.headers) }],
        })
        if (!offsets?.some(({ partition }) => partition === batch.partition)) throw new Error('no offset came back')
      }
    } catch (thrown) {
      throw refused(topic, thrown)
    }
  }
  return {
    publish(batch) {
      const sent = (last.get(batch.partition) ?? Promise.resolve()).then(() => send(batch))
      last.set(
        batch.partition,
        sent.catch(() => {}),
      )
      return sent
    },
    async partitions() {
      const admin = new Admin(of)
      try {
        const { topics } = await admin.metadata({ topics: [topic] })
        return topics.get(topic)!.partitionsCount
      } catch (thrown) {
        throw refused(topic, thrown)
      } finally {
        await admin.close()
      }
    },
    async close() {
      closed = true
      await Promise.all(last.values())
      await producer.close()
    },
  }
}

const headersOf = (headers: Readonly<Record<string, string>>): Map<string, string> => new Map(Object.entries(headers))

function refused(topic: string, thrown: unknown): WritError {
  return new WritError('stream_unavailable', `Kafka (topic ${topic}): ${namesOf(thrown).join(': ')}`, { cause: thrown })
}

/** Every message of an error and of those within it, and the protocol's own names. */
function namesOf(thrown: unknown, depth = 0): string[] {
  const { errors = [], cause, apiId } = thrown as { errors?: unknown[]; cause?: unknown; apiId?: string }
  const inner = depth > 4 ? [] : [...errors, ...(cause ? [cause] : [])].flatMap((one) => namesOf(one, depth + 1))
  return [messageOf(thrown), ...(apiId ? [apiId] : []), ...inner]
}

/** The reading side, as small as the contract allows: one consumer, begun again whenever it ends. */
async function read(options: KafkaIngestOptions): Promise<{ close(): Promise<void> }> {
  const { brokers, topic, groupId, offsetOf, ingest } = options
  const stop = new AbortController()
  let consumer: Consumer<string, Buffer, string, string> | undefined

  const readOnce = async (): Promise<void> => {
    consumer = new Consumer<string, Buffer, string, string>({
      ...{ ...bounds, clientId: 'reader', bootstrapBrokers: [...brokers], groupId, maxWaitTime: 250 },
      ...{ sessionTimeout: 10_000, heartbeatInterval: 3000, rebalanceTimeout: 15_000 },
      deserializers: { key: (key?: Buffer) => String(key), value: (value?: Buffer) => value! },
    })
    const { topics } = await consumer.metadata({ topics: [topic] })
    const partitions = Array.from({ length: topics.get(topic)!.partitionsCount }, (_, partition) => partition)
    const offsets = await Promise.all(
      partitions.map(async (partition) => ({ topic, partition, offset: BigInt((await offsetOf(partition)) ?? 0) })),
    )
    const mode = MessagesStreamModes.MANUAL
    const stream = await consumer.consume({ topics: [topic], mode, offsets, autocommit: false })
    for await (const { partition, offset, key, value } of stream) {
      await ingest(partition, [{ offset: String(offset), key, value }])
    }
  }
  const ended = (async () => {
    while (!stop.signal.aborted) {
      await readOnce().catch((thrown) => {
        options.onEvent({ name: 'ingest_failed', level: 'warn', detail: messageOf(thrown) })
      })
      await consumer?.close(true).catch(() => {})
      await pause(stop.signal.aborted ? 0 : 200)
    }
  })()
  return {
    async close() {
      stop.abort()
      await consumer?.close(true).catch(() => {})
      await ended
    },
  }
}
