/** Apache Kafka as the stream of records. What is said in kafkajs's own words stands in the files kafka*.ts alone. */

import { Partitioners, type Producer } from 'kafkajs'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import type { Stream, StreamBatch } from '../../core/ports.ts'
import { joinLines } from './embedded.ts'
import { isRefusal, type KafkaOptions, newKafka, unavailable, within } from './kafka-client.ts'
import { batchCompression } from './kafka-codec.ts'
import { partitionQueue } from './kafka-queue.ts'

export type { KafkaCredentials, KafkaOptions } from './kafka-client.ts'
export { kafkaEnds } from './kafka-ends.ts'
export { type KafkaIngestOptions, runKafkaIngest } from './kafka-ingest.ts'
export { auditorGroup, type KafkaPrepareOptions, type Prepared, prepareKafka } from './kafka-prepare.ts'
export { type KafkaSender, kafkaSender } from './kafka-sender.ts'

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
  const withinMs = options.publishWithinMs ?? 30_000
  let producer: Promise<Producer> | undefined
  let closed = false

  const connected = (): Promise<Producer> => {
    producer ??= connect(options).catch((thrown) => {
      producer = undefined
      throw thrown
    })
    return producer
  }
  const giveUp = (failed: Promise<Producer> | undefined): void => {
    if (producer === failed) producer = undefined
    failed?.then((client) => client.disconnect()).catch(() => {})
  }

  const send = async (batches: readonly StreamBatch[]): Promise<void> => {
    if (closed) throw new WritError('stream_unavailable', 'the stream is closed')
    const client = connected()
    try {
      await within(
        withinMs,
        client.then((ready) => sendAll(ready, options.topic, batches)),
      )
    } catch (thrown) {
      // What others have in flight there goes on where the broker only refused these records.
      if (!isRefusal(thrown)) giveUp(client)
      throw unavailable(options, thrown)
    }
  }
  // One in flight per partition: a retry inside the client must not be overtaken (its sequences are not safe).
  const queue = partitionQueue<StreamBatch>({ maxBytes: messageBytes, sizeOf, send, isOfOne: isRefusal })
  return {
    publish: queue.publish,
    async partitions() {
      const kafka = await newKafka(options)
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
      await queue.idle()
      const client = await producer?.catch(() => undefined)
      await within(withinMs, client?.disconnect() ?? Promise.resolve()).catch(() => {})
    },
  }
}

async function connect(options: KafkaOptions): Promise<Producer> {
  const producer = (await newKafka(options)).producer({
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: false, // Experimental in kafkajs; the ledger knows records by their numbers.
    maxInFlightRequests: 5,
  })
  await producer.connect()
  return producer
}

/** Bytes of a batch, with what its message has beside them. */
function sizeOf({ records }: StreamBatch): number {
  let bytes = 1024
  for (const record of records) bytes += record.length + 1
  return bytes
}

/**
 * Of the messages of one request kafkajs makes one batch, which the broker takes whole or not at all, and its limit
 * holds for the batch. So those of several epochs go together, and parts of one that is larger alone.
 */
async function sendAll(producer: Producer, topic: string, batches: readonly StreamBatch[]): Promise<void> {
  const { partition } = batches[0]!
  const messages = batches.flatMap(messagesOf)
  const requests = batches.length > 1 ? [messages] : messages.map((message) => [message])
  for (const request of requests) {
    const answers = await producer.send({ topic, acks: -1, compression: batchCompression, messages: request })
    // Messages for a partition that it does not know of kafkajs drops, and says that all went well.
    if (answers.some((answer) => answer.partition === partition && answer.errorCode === 0)) continue
    throw new Error(`the topic has no partition ${partition}, or had none when this client last looked`)
  }
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
    const { buffer, byteOffset, length } = joinLines(part)
    return {
      key: producer,
      value: Buffer.from(buffer, byteOffset, length),
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
