/**
 * From Kafka into the ledger. The consumer group only says who reads which partition; where reading goes on is what
 * the ledger stored with the leaves, never what Kafka has committed.
 */

import type { Consumer } from 'kafkajs'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Ingest, RandomBytes, StreamMessage } from '../../core/ports.ts'
import type { OnNotice } from '../stream/notice.ts'
import { type KafkaOptions, newKafka, unavailable, within } from './kafka-client.ts'
import { backOff, pause } from './pause.ts'

export interface KafkaIngestOptions extends Omit<KafkaOptions, 'clientId'> {
  readonly clientId?: string
  readonly groupId: string
  /** Next offset that the ledger wants of a partition, decimal; undefined where it has none of it yet. */
  readonly offsetOf: (partition: number) => Promise<string | undefined>
  readonly ingest: Ingest
  readonly onEvent: OnNotice
}

const retryMs = { first: 200, most: 10_000 }
const heartbeatEveryMs = 3_000
/** Partitions that were added are read after this time at the latest. */
const metadataMaxAgeMs = 15_000
/** After a broker's crash kafkajs comes back under another name, and gets nothing until this time of its old one is over. */
const sessionTimeout = 10_000

export async function runKafkaIngest(options: KafkaIngestOptions): Promise<{ close(): Promise<void> }> {
  const { topic, groupId, onEvent } = options
  const closed = new AbortController()
  let consumer: Consumer | undefined

  const start = async (): Promise<void> => {
    const kafka = await newKafka({ ...options, clientId: options.clientId ?? 'writ-auditor' })
    const next = kafka.consumer({
      groupId,
      allowAutoTopicCreation: false,
      sessionTimeout,
      heartbeatInterval: heartbeatEveryMs,
      // What a batch costs the store is the same for one record and for thousands: a little is waited for, in bytes as
      // they are sent, a tenth or less of what they become, and never long.
      minBytes: 64 * 1024,
      maxWaitTimeInMs: 250,
      metadataMaxAge: metadataMaxAgeMs,
      maxBytesPerPartition: 512 * 1024,
      retry: { retries: 10, initialRetryTime: 200, maxRetryTime: 5_000 },
    })
    consumer = next
    const partitions = ingestPartitions({
      ...options,
      seek: (partition, offset) => next.seek({ topic, partition, offset }),
      pause: (partition) => next.pause([{ topic, partitions: [partition] }]),
      resume: (partition) => next.resume([{ topic, partitions: [partition] }]),
      random: (length) => crypto.getRandomValues(new Uint8Array(length)),
      stop: closed.signal,
    })
    next.on('consumer.group_join', ({ payload }) => partitions.assigned(payload.memberAssignment[topic] ?? []))
    next.on('consumer.crash', ({ payload }) => {
      if (payload.restart || closed.signal.aborted) return
      onEvent({ name: 'ingest_failed', level: 'error', detail: `the consumer stopped: ${messageOf(payload.error)}` })
      void restart()
    })
    await within(60_000, next.connect())
    await within(60_000, next.subscribe({ topics: [topic], fromBeginning: true }))
    await next.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: 16,
      eachBatch: ({ batch, resolveOffset, heartbeat, isRunning, isStale }) =>
        partitions.take({
          partition: batch.partition,
          messages: batch.messages.map(({ offset, key, value }) => ({
            offset,
            key: key?.toString() ?? '',
            value: value ?? new Uint8Array(),
          })),
          resolve: resolveOffset,
          heartbeat,
          isCurrent: () => isRunning() && !isStale(),
        }),
    })
  }

  /** kafkajs restarts by itself after what it takes for passing; this is for the rest. */
  const restart = async (): Promise<void> => {
    for (let tries = 0; !closed.signal.aborted; tries++) {
      await pause().wait(
        closed.signal,
        backOff(tries, retryMs, (length) => crypto.getRandomValues(new Uint8Array(length))),
      )
      await consumer?.disconnect().catch(() => {})
      if (closed.signal.aborted) return
      try {
        await start()
        return
      } catch (thrown) {
        onEvent({ name: 'ingest_failed', level: 'error', detail: messageOf(thrown) })
      }
    }
  }

  try {
    await start()
  } catch (thrown) {
    await consumer?.disconnect().catch(() => {})
    throw unavailable(options, thrown)
  }
  return {
    async close() {
      closed.abort()
      await within(30_000, consumer?.disconnect() ?? Promise.resolve()).catch(() => {})
    },
  }
}

/** One fetched batch, and what may be done with it. */
export interface Fetched {
  readonly partition: number
  readonly messages: readonly StreamMessage[]
  /** Reading goes on after this offset. */
  resolve(offset: string): void
  /** Rejects when the group is being rearranged, and then the batch is somebody else's. */
  heartbeat(): Promise<void>
  isCurrent(): boolean
}

export interface PartitionPorts {
  readonly ingest: Ingest
  readonly offsetOf: KafkaIngestOptions['offsetOf']
  readonly onEvent: OnNotice
  readonly random: RandomBytes
  readonly stop: AbortSignal
  seek(partition: number, offset: string): void
  pause(partition: number): void
  resume(partition: number): void
}

/** The part that decides, without Kafka: what is ingested, what is tried again, and where reading goes on. */
export function ingestPartitions(ports: PartitionPorts): {
  assigned(partitions: readonly number[]): void
  take(fetched: Fetched): Promise<void>
} {
  const { ingest, offsetOf, onEvent, random, stop, seek } = ports
  /** Next offset that the ledger wants, by partition; a new map with each assignment. */
  let wanted = new Map<number, Promise<bigint | undefined>>()
  const fenced = new Set<number>()

  const startAt = async (partition: number, isMine: () => boolean): Promise<bigint | undefined> => {
    for (let tries = 0; isMine(); tries++) {
      try {
        const next = BigInt((await offsetOf(partition)) ?? 0)
        if (!isMine()) return undefined
        seek(partition, String(next))
        return next
      } catch (thrown) {
        failed(partition, tries, thrown)
        await pause().wait(stop, backOff(tries, retryMs, random))
      }
    }
    return undefined
  }

  const failed = (partition: number, tries: number, thrown: unknown): void => {
    const detail = `partition ${partition}: ${messageOf(thrown)}`
    if (tries === 0) onEvent({ name: 'ingest_failed', level: 'warn', detail })
  }

  const ingestAll = async (fetched: Fetched, messages: readonly StreamMessage[]): Promise<boolean> => {
    const { partition } = fetched
    for (let tries = 0; fetched.isCurrent() && !stop.aborted; tries++) {
      const beats = setInterval(() => fetched.heartbeat().catch(() => {}), heartbeatEveryMs)
      try {
        await ingest(partition, messages)
        return true
      } catch (thrown) {
        if (thrown instanceof WritError && thrown.code === 'fenced') {
          fenced.add(partition)
          ports.pause(partition)
          onEvent({ name: 'ingest_fenced', level: 'warn', detail: `partition ${partition}: ${thrown.message}` })
          return false
        }
        failed(partition, tries, thrown)
      } finally {
        clearInterval(beats)
      }
      await pause().wait(stop, backOff(tries, retryMs, random))
      await fetched.heartbeat()
    }
    return false
  }

  return {
    assigned(partitions) {
      const mine = new Map<number, Promise<bigint | undefined>>()
      wanted = mine
      const isMine = () => wanted === mine && !stop.aborted
      for (const partition of partitions) {
        if (fenced.delete(partition)) ports.resume(partition)
        mine.set(partition, startAt(partition, isMine))
      }
    },
    async take(fetched) {
      const mine = wanted
      const { partition } = fetched
      const next = await mine.get(partition)
      // Fetched before the ledger's offset was known: what it wants is fetched next.
      if (next === undefined || wanted !== mine || fenced.has(partition) || !fetched.isCurrent()) return
      const last = fetched.messages.at(-1)
      if (!last) return
      const messages = fetched.messages.filter(({ offset }) => BigInt(offset) >= next)
      if (messages.length > 0 && !(await ingestAll(fetched, messages))) return
      if (wanted !== mine) return
      const after = BigInt(last.offset) + 1n
      mine.set(partition, Promise.resolve(after > next ? after : next))
      fetched.resolve(last.offset)
    },
  }
}
