import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { Stream } from '../../../core/ports.ts'
import { writ } from '../../cli/writ.ts'
import { type RunningKafka, startKafka } from '../../parts/kafka.ts'
import { needs } from '../../parts/needs.ts'
import { kafkajs } from './adapters.ts'
import { idleMs, streamContract } from './contract.ts'
import { asAdmin, contentOf, faultsOf, namesIn, newTopic, newWriter, pumpUntil } from './kit.ts'

const test = needs('kafka')

describe('one broker', () => {
  let broker: RunningKafka
  beforeAll(async () => {
    broker = await startKafka({ properties: { 'connections.max.idle.ms': String(idleMs) } })
  })
  afterAll(() => broker?.remove())

  streamContract(test, { adapter: kafkajs, broker: () => broker, kills: 5 })

  test('writ kafka prepare says what ACLs would be needed where nobody asks for any', async () => {
    const ended = await writ(
      ...['kafka', 'prepare', '--brokers', broker.broker, '--topic', 'open', '--replication', '1'],
      ...['--proxies', 'User:proxy', '--auditor', 'User:auditor'],
    )
    expect(ended).toMatchObject({ code: 0, err: '' })
    expect(ended.out).toContain('the brokers have no authorizer')
    expect(ended.out).toContain('  User:auditor may Read on group open.auditor\n')
  })
})

describe('two brokers', () => {
  let first: RunningKafka
  let second: RunningKafka
  beforeAll(async () => {
    first = await startKafka()
    second = await startKafka({ joins: first.controllerPort })
  })
  afterAll(() => Promise.all([first?.remove(), second?.remove()]))

  /** Sends under load while something happens to the brokers; gives what was lost or came in another order. */
  const faultsWhile = async (topic: string, happens: () => Promise<void>): Promise<string[]> => {
    const stream: Stream = await kafkajs.open({
      brokers: [first.broker, second.broker],
      topic,
      clientId: 'contract',
    })
    let over = false
    const sending = Promise.all([0, 0, 0].map((_, i) => pumpUntil(stream, newWriter(`w${i}`, 0), () => over)))
    await pause(1000)
    await happens().finally(() => {
      over = true
    })
    const acknowledged = (await sending).flat()
    await stream.close()
    const arrived = (await contentOf(first.broker, topic)).flatMap(({ value }) => namesIn(value))
    expect(acknowledged.length).toBeGreaterThan(100)
    return faultsOf(acknowledged, arrived)
  }

  const leaderOf = (topic: string): Promise<number> =>
    asAdmin(first.broker, async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]!.partitions[0]!.leader
    })

  test('a partition that moves to another broker and back loses nothing that was acknowledged', async () => {
    const topic = await newTopic(first.broker, { replicas: [1] })
    const faults = await faultsWhile(topic, async () => {
      for (const to of [2, 1, 2]) {
        await asAdmin(first.broker, (admin) =>
          admin.alterPartitionReassignments({
            topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [to] }] }],
          }),
        )
        while ((await leaderOf(topic)) !== to) await pause(100)
        await pause(1500)
      }
    })
    expect(faults).toEqual([])
  }, 120_000)

  test('the leader killed under load, the other one goes on with all that was acknowledged', async () => {
    const topic = await newTopic(first.broker, { replicas: [2, 1] })
    const faults = await faultsWhile(topic, async () => {
      expect(await leaderOf(topic)).toBe(2)
      await second.kill()
      while ((await leaderOf(topic)) !== 1) await pause(100)
      await pause(2000)
      await second.restart()
      await pause(2000)
    })
    expect(faults).toEqual([])
  }, 120_000)

  test('a topic that wants two copies acknowledges nothing while one broker is gone, and then goes on', async () => {
    const topic = await newTopic(first.broker, { replicas: [1, 2], settings: { 'min.insync.replicas': '2' } })
    const brokers = [first.broker, second.broker]
    const stream = await kafkajs.open({ brokers, topic, clientId: 'contract' })
    const writer = newWriter('orders', 0)
    await stream.publish(writer.next(1))
    await second.kill()
    await pause(5000) // Longer than the session of a broker: the first one is alone now.
    const batch = writer.next(1)
    await expect(stream.publish(batch)).rejects.toMatchObject({
      code: 'stream_unavailable',
      message: expect.stringContaining('NOT_ENOUGH_REPLICAS'),
      cure: expect.stringContaining('min.insync.replicas'),
    })
    await second.restart()
    let over = false
    const sending = pumpUntil(stream, writer, () => over)
    await pause(3000)
    over = true
    expect((await sending).length).toBeGreaterThan(0)
    await stream.close()
  }, 120_000)
})
