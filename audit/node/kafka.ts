/** Apache Kafka as the stream of records. What is said in kafkajs's own words stands in the files kafka*.ts alone. */

import { type Kafka, Partitioners, type Producer } from 'kafkajs'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import type { Stream, StreamBatch } from '../../core/ports.ts'
import { joinLines } from './embedded.ts'
import { type KafkaOptions, newKafka, unavailable, within } from './kafka-client.ts'

export type { KafkaOptions } from './kafka-client.ts'
export { type KafkaIngestOptions, runKafkaIngest } from './kafka-ingest.ts'

/** CloudEvents type of a message: records of one epoch, in order. */
export const recordsType = 'dev.writ.records.v1'
/** Bytes of one message at most, well below Kafka's default limit of 1 MiB; a single record always fits. */
const messageBytes = 512 * 1024

export interface KafkaStreamOptions extends KafkaOptions {
  /** Longest time for one batch, in milliseconds; then it counts as failed and the connection is given up. Default 30 000. */
  readonly publishWithinMs?: number
}

/** Resolves at once: a proxy starts while Kafka is away, and each call tries to connect anew. */
export async function kafkaStream(options: KafkaStreamOptions): Promise<Stream> {
  const kafka = newKafka(options)
  const withinMs = options.publishWithinMs ?? 30_000
  let producer: Promise<Producer> | undefined
  const last = new Map<number, Promise<unknown>>()
  let closed = false

  const connected = (): Promise<Producer> => {
    producer ??= connect(kafka).catch((thrown) => {
      producer = undefined
      throw thrown
    })
    return producer
  }
  const giveUp = (failed: Promise<Producer> | undefined): void => {
    if (producer === failed) producer = undefined
    failed?.then((client) => client.disconnect()).catch(() => {})
  }

  const send = async (batch: StreamBatch): Promise<void> => {
    if (closed) throw new WritError('stream_unavailable', 'the stream is closed')
    const client = connected()
    try {
      await within(
        withinMs,
        client.then((ready) => ready.send({ topic: options.topic, acks: -1, messages: messagesOf(batch) })),
      )
    } catch (thrown) {
      giveUp(client)
      throw unavailable(options, thrown)
    }
  }
  return {
    publish(batch) {
      // One in flight per partition: a retry inside the client must not be overtaken (its sequences are not safe).
      const sent = (last.get(batch.partition) ?? Promise.resolve()).then(() => send(batch))
      last.set(
        batch.partition,
        sent.catch(() => {}),
      )
      return sent
    },
    async partitions() {
      const admin = kafka.admin()
      try {
        await within(withinMs, admin.connect())
        const { topics } = await within(withinMs, admin.fetchTopicMetadata({ topics: [options.topic] }))
        return topics[0]!.partitions.length
      } catch (thrown) {
        throw unavailable(options, thrown)
      } finally {
        admin.disconnect().catch(() => {})
      }
    },
    async close() {
      closed = true
      await Promise.all(last.values())
      await within(withinMs, (await producer)?.disconnect() ?? Promise.resolve()).catch(() => {})
    },
  }
}

export interface KafkaPrepareOptions extends Omit<KafkaOptions, 'clientId'> {
  readonly partitions: number
  /** Copies of each partition; with three or more, two must have a record before it is acknowledged. */
  readonly replication: number
}

/** Creates the topic, or checks that an existing one has as many partitions: an epoch stays where it began. */
export async function prepareKafka(options: KafkaPrepareOptions): Promise<void> {
  const { topic, partitions, replication } = options
  const admin = newKafka({ ...options, clientId: 'writ-prepare' }).admin()
  try {
    await within(30_000, admin.connect())
    const made = await admin.createTopics({
      waitForLeaders: true,
      timeout: 15_000,
      topics: [
        {
          topic,
          numPartitions: partitions,
          replicationFactor: replication,
          configEntries: [
            { name: 'cleanup.policy', value: 'delete' },
            { name: 'min.insync.replicas', value: String(replication >= 3 ? 2 : 1) },
          ],
        },
      ],
    })
    if (made) return
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const found = topics[0]!.partitions.length
    if (found === partitions) return
    throw new WritError(
      'config_invalid',
      `the topic ${topic} has ${found} partitions, and ${partitions} are configured`,
      {
        cure: `Set the number of partitions to ${found}, or use another topic.`,
      },
    )
  } catch (thrown) {
    throw thrown instanceof WritError ? thrown : unavailable(options, thrown)
  } finally {
    await admin.disconnect().catch(() => {})
  }
}

async function connect(kafka: Kafka): Promise<Producer> {
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: false, // Experimental in kafkajs; the ledger knows records by their numbers.
    maxInFlightRequests: 5,
  })
  await producer.connect()
  return producer
}

/** Exported for its tests: what one batch looks like on the wire (CloudEvents Kafka binding, binary mode). */
export function messagesOf(batch: StreamBatch): {
  readonly key: string
  readonly value: Buffer
  readonly partition: number
  readonly headers: Record<string, string>
}[] {
  const { producer, epoch, partition, firstSeq, records } = batch
  return splitRecords(records).map(({ first, part }) => {
    const time = timeOf(part[0]!)
    return {
      key: producer,
      value: Buffer.from(joinLines(part)),
      partition,
      headers: {
        ce_specversion: '1.0',
        ce_id: `${producer}/${epoch}/${firstSeq + first}`,
        ce_type: recordsType,
        ce_source: producer,
        ...(time !== undefined && { ce_time: time }),
        'content-type': 'application/x-ndjson',
      },
    }
  })
}

function splitRecords(
  records: readonly Uint8Array[],
): { readonly first: number; readonly part: readonly Uint8Array[] }[] {
  const parts: { first: number; part: Uint8Array[] }[] = []
  let bytes = Number.POSITIVE_INFINITY
  records.forEach((record, i) => {
    if (bytes + record.length > messageBytes) {
      parts.push({ first: i, part: [] })
      bytes = 0
    }
    parts.at(-1)!.part.push(record)
    bytes += record.length + 1
  })
  return parts
}

function timeOf(record: Uint8Array): string | undefined {
  const event = parseJson(new TextDecoder().decode(record))
  return isObject(event) && typeof event['timestamp'] === 'string' ? event['timestamp'] : undefined
}
