import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, expect } from 'vitest'
import { type RunningKafka, startKafka } from './kafka.ts'
import { needs } from './needs.ts'
import { answers } from './ports.ts'

const test = needs('kafka')

let broker: RunningKafka
beforeAll(async () => {
  broker = await startKafka()
})
afterAll(() => broker?.remove())

const client = () =>
  new Kafka({ clientId: 'test', brokers: [broker.broker], logLevel: logLevel.NOTHING, retry: { retries: 20 } })

async function produce(value: string): Promise<void> {
  const producer = client().producer()
  await producer.connect()
  await producer.send({ topic: 'records', acks: -1, messages: [{ value }] })
  await producer.disconnect()
}

async function consume(count: number): Promise<string[]> {
  const consumer = client().consumer({ groupId: `reader-${count}` })
  await consumer.connect()
  await consumer.subscribe({ topics: ['records'], fromBeginning: true })
  const values: string[] = []
  await new Promise<void>((resolve, reject) => {
    const eachMessage = async ({ message }: { message: { value: Buffer | null } }): Promise<void> => {
      values.push(String(message.value))
      if (values.length === count) resolve()
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await consumer.disconnect()
  return values
}

test('a message that the broker acknowledged is still there after it was killed', async () => {
  await produce('first')
  expect(await consume(1)).toEqual(['first'])

  await broker.kill()
  expect(broker.pid()).toBeUndefined()
  expect(await answers(broker.port)).toBe(false)

  await broker.restart()
  await produce('second')
  expect(await consume(2)).toEqual(['first', 'second'])
}, 90_000)
