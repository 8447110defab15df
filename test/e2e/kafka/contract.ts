/**
 * What an adapter of Kafka must hold, whichever client it is made of: each acknowledged record is in the topic, once
 * or more, each producer's in order, and what cannot be done is refused with its cause. Written for one real broker.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, type test as vitestTest } from 'vitest'
import type { KafkaIngestOptions, KafkaStreamOptions } from '../../../audit/node/kafka.ts'
import { WritError } from '../../../core/fault.ts'
import type { Stream, StreamMessage } from '../../../core/ports.ts'
import type { RunningKafka } from '../../parts/kafka.ts'
import { asAdmin, contentOf, eventually, faultsOf, namesIn, namesOf, newTopic, newWriter, pumpUntil } from './kit.ts'

/** One client's way to be the stream, and the reading side of the auditor. */
export interface StreamAdapter {
  readonly name: string
  open(options: KafkaStreamOptions): Promise<Stream>
  read(options: KafkaIngestOptions): Promise<{ close(): Promise<void> }>
}

/** The broker must drop connections that are idle for this long, in milliseconds. */
export const idleMs = 11_000 // Longer than a session of the group, which a reader that comes back may have to wait for.

export interface ContractOptions {
  readonly adapter: StreamAdapter
  readonly broker: () => RunningKafka
  /** How often the broker is killed under load. */
  readonly kills: number
}

export function streamContract(test: typeof vitestTest, { adapter, broker, kills }: ContractOptions): void {
  const using = async (topic: string, use: (stream: Stream) => Promise<void>, withinMs = 30_000): Promise<void> => {
    const stream = await adapter.open({
      brokers: [broker().broker],
      topic,
      clientId: 'contract',
      publishWithinMs: withinMs,
    })
    try {
      await use(stream)
    } finally {
      await stream.close()
    }
  }
  const arrivedIn = async (topic: string): Promise<string[]> =>
    (await contentOf(broker().broker, topic)).flatMap(({ value }) => namesIn(value))

  describe.concurrent(`${adapter.name} as the stream`, { timeout: 60_000 }, () => {
    test('of 1,000 sends at once each acknowledged record is there, and each producer in order', async () => {
      const topic = await newTopic(broker().broker, { partitions: 4 })
      const writers = Array.from({ length: 20 }, (_, i) => newWriter(`w${i}`, i % 4))
      const batches = Array.from({ length: 1000 }, (_, i) => writers[i % 20]!.next(3))
      await using(topic, async (stream) => {
        expect(await stream.partitions()).toBe(4)
        await Promise.all(batches.map((batch) => stream.publish(batch)))
      })
      const arrived = await arrivedIn(topic)
      expect(faultsOf(batches.flatMap(namesOf), arrived)).toEqual([])
      expect(new Set(arrived).size).toBe(3000)
    })

    test('a message is a CloudEvent in binary mode, keyed by its producer, on the partition of its epoch', async () => {
      const topic = await newTopic(broker().broker, { partitions: 2 })
      const writer = newWriter('orders', 1)
      await using(topic, async (stream) => {
        await stream.publish(writer.next(2))
        await stream.publish(writer.next(1))
      })
      const content = await contentOf(broker().broker, topic)
      expect(content.map(({ partition, offset, key }) => ({ partition, offset, key }))).toEqual([
        { partition: 1, offset: '0', key: writer.producer },
        { partition: 1, offset: '1', key: writer.producer },
      ])
      expect(content.map(({ headers }) => headers)).toEqual(
        [0, 2].map((seq) => ({
          ce_specversion: '1.0',
          ce_id: `${writer.producer}/${writer.epoch}/${seq}`,
          ce_type: 'dev.writ.records.v1',
          ce_source: writer.producer,
          ce_time: '2026-11-23T17:04:09.123456789Z',
          'content-type': 'application/x-ndjson',
        })),
      )
    })

    test('a batch of more bytes than the broker takes at once goes through, in order', async () => {
      const topic = await newTopic(broker().broker)
      const batch = newWriter('large', 0).next(30, 100_000)
      await using(topic, (stream) => stream.publish(batch))
      expect(faultsOf(namesOf(batch), await arrivedIn(topic))).toEqual([])
    })

    test('a record that the topic does not take is refused by name, and those beside it are not', async () => {
      const topic = await newTopic(broker().broker, { partitions: 2, settings: { 'max.message.bytes': '20000' } })
      const [here, there] = [newWriter('here', 0), newWriter('there', 1)]
      const good = [here.next(1), there.next(1)]
      const tooLarge = newWriter('too-large', 0).next(1, 60_000)
      await using(topic, async (stream) => {
        const sent = [good[0]!, tooLarge, good[1]!].map((batch) => stream.publish(batch))
        const [first, refused, second] = await Promise.allSettled(sent)
        expect([first, second].map((one) => one!.status)).toEqual(['fulfilled', 'fulfilled'])
        expect(refused).toMatchObject({
          status: 'rejected',
          reason: { code: 'stream_unavailable', message: expect.stringContaining('MESSAGE_TOO_LARGE') },
        })
        await stream.publish(here.next(1))
      })
      expect((await arrivedIn(topic)).sort()).toEqual([...good.flatMap(namesOf), `${here.epoch}-1`].sort())
    })

    test('records that are alike take a tenth of their bytes on the way', async () => {
      const topic = await newTopic(broker().broker, { settings: { 'max.message.bytes': '20000' } })
      const writer = newWriter('alike', 0)
      const batch = writer.next(1000) // Some hundred kilobytes, most of it the same.
      await using(topic, (stream) => stream.publish(batch))
      expect(faultsOf(namesOf(batch), await arrivedIn(topic))).toEqual([])
    })

    test('a topic that is missing is refused by name, and nobody makes it', async () => {
      const batch = newWriter('early', 0).next(1)
      await using('not-made', async (stream) => {
        const refused = { code: 'stream_unavailable', message: expect.stringContaining('not-made') }
        await expect(stream.publish(batch)).rejects.toMatchObject(refused)
        await expect(stream.partitions()).rejects.toMatchObject(refused)
      })
      expect(await asAdmin(broker().broker, (admin) => admin.listTopics())).not.toContain('not-made')
    })

    test('a partition that is missing is refused, and there once it was made', async () => {
      const topic = await newTopic(broker().broker)
      const batch = newWriter('far', 1).next(1)
      await using(topic, async (stream) => {
        await stream.publish(newWriter('near', 0).next(1))
        await expect(stream.publish(batch)).rejects.toMatchObject({ code: 'stream_unavailable' })
        await asAdmin(broker().broker, (admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }))
        await pumpOnce(stream, batch)
      })
      expect(await arrivedIn(topic)).toContain(`${batch.epoch}-0`)
    })

    test('a stream that was idle until the broker hung up goes on with its next record', async () => {
      const topic = await newTopic(broker().broker)
      const writer = newWriter('idle', 0)
      await using(topic, async (stream) => {
        await stream.publish(writer.next(1))
        await pause(1.3 * idleMs)
        await stream.publish(writer.next(1))
      })
      expect(new Set(await arrivedIn(topic)).size).toBe(2)
    })

    test('a stream that is closed takes nothing more', async () => {
      const topic = await newTopic(broker().broker)
      let kept: Stream | undefined
      await using(topic, async (stream) => {
        kept = stream
      })
      await expect(kept!.publish(newWriter('late', 0).next(1))).rejects.toMatchObject({ code: 'stream_unavailable' })
      expect(await contentOf(broker().broker, topic)).toEqual([])
    })
  })

  describe(`${adapter.name} as the stream, on a broker that crashes`, () => {
    test(
      `with the broker killed under load${kills > 1 ? `, ${kills} times` : ''}, nothing acknowledged is lost, and the ledger has each offset once`,
      async () => {
        const topic = await newTopic(broker().broker, { partitions: 2 })
        const ledger = newLedger()
        const writers = [0, 1, 0, 1].map((partition, i) => newWriter(`w${i}`, partition))
        const reader = await adapter.read({
          brokers: [broker().broker],
          topic,
          groupId: `${topic}.auditor`,
          offsetOf: async (partition) => ledger.next.get(partition),
          ingest: ledger.ingest,
          onEvent: () => undefined,
        })
        try {
          await using(topic, async (stream) => {
            let over = false
            const sending = Promise.all(writers.map((writer) => pumpUntil(stream, writer, () => over)))
            for (let i = 0; i < kills; i++) {
              await pause(700)
              await broker().kill()
              await pause(500)
              await broker().restart()
            }
            await pause(700)
            over = true
            const acknowledged = (await sending).flat()
            expect(faultsOf(acknowledged, await arrivedIn(topic))).toEqual([])
            const missing = () => acknowledged.filter((name) => !ledger.names.has(name))
            await eventually(() => missing().length === 0, missing)
            expect(faultsOf(acknowledged, [...ledger.names])).toEqual([])
            expect(ledger.faults).toEqual([])
          })
        } finally {
          await reader.close()
        }
      },
      60_000 + kills * 30_000,
    )

    test('reading goes on where the ledger stands, after an ingest that failed and after a new start', async () => {
      const topic = await newTopic(broker().broker)
      const ledger = newLedger()
      const writer = newWriter('orders', 0)
      let fails = 1
      const readWhile = async (use: () => Promise<void>): Promise<void> => {
        const reader = await adapter.read({
          brokers: [broker().broker],
          topic,
          groupId: `${topic}.auditor`,
          offsetOf: async (partition) => ledger.next.get(partition),
          ingest: async (partition, messages) => {
            if (fails-- > 0) throw new WritError('store_unavailable', 'the database is away')
            await ledger.ingest(partition, messages)
          },
          onEvent: () => undefined,
        })
        await use().finally(() => reader.close())
      }
      await using(topic, async (stream) => {
        await stream.publish(writer.next(10))
        await readWhile(() =>
          eventually(
            () => ledger.names.size === 10,
            () => [...ledger.names],
          ),
        )
        await stream.publish(writer.next(10))
        await readWhile(() =>
          eventually(
            () => ledger.names.size === 20,
            () => [...ledger.names],
          ),
        )
      })
      expect(ledger.faults).toEqual([])
      expect(ledger.next.get(0)).toBe('2')
    })
  })
}

async function pumpOnce(stream: Stream, batch: Parameters<Stream['publish']>[0]): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await stream.publish(batch)
    } catch (thrown) {
      if (tries === 50) throw thrown
      await pause(100)
    }
  }
}

/** The least that an auditor does: it keeps records and the next offset together, and minds a repeated offset. */
function newLedger() {
  const names = new Set<string>()
  const next = new Map<number, string>()
  const faults: string[] = []
  return {
    ...{ names, next, faults },
    ingest: async (partition: number, messages: readonly StreamMessage[]): Promise<void> => {
      for (const { offset, key, value } of messages) {
        if (BigInt(offset) < BigInt(next.get(partition) ?? 0)) faults.push(`partition ${partition}: ${offset} again`)
        if (!key.startsWith('spiffe://')) faults.push(`partition ${partition}: ${offset} has the key ${key}`)
        for (const name of namesIn(new TextDecoder().decode(value))) names.add(name)
        next.set(partition, String(BigInt(offset) + 1n))
      }
    },
  }
}
