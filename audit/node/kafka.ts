/** Apache Kafka as the stream of records. What is said in kafkajs's own words stands in the files kafka*.ts alone. */

import { Partitioners, type Producer } from 'kafkajs'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import type { Stream, StreamBatch } from '../../core/ports.ts'
import { joinLines } from './embedded.ts'
import { isRefusal, type KafkaOptions, newKafka, unavailable, within } from './kafka-client.ts'

export type { KafkaCredentials, KafkaOptions } from './kafka-client.ts'
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
  const last = new Map<number, Promise<unknown>>()
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

  const send = async (batch: StreamBatch): Promise<void> => {
    if (closed) throw new WritError('stream_unavailable', 'the stream is closed')
    const client = connected()
    try {
      await within(
        withinMs,
        client.then((ready) => sendAll(ready, options.topic, batch)),
      )
    } catch (thrown) {
      // What others have in flight there goes on where the broker only refused these records.
      if (!isRefusal(thrown)) giveUp(client)
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
      await Promise.all(last.values())
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

/** One message in each request: of several kafkajs makes one batch, and the broker's limit holds for the batch. */
async function sendAll(producer: Producer, topic: string, batch: StreamBatch): Promise<void> {
  for (const message of messagesOf(batch)) {
    const answers = await producer.send({ topic, acks: -1, messages: [message] })
    // Messages for a partition that it does not know of kafkajs drops, and says that all went well.
    if (answers.some(({ partition, errorCode }) => partition === batch.partition && errorCode === 0)) continue
    throw new Error(`the topic has no partition ${batch.partition}, or had none when this client last looked`)
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
