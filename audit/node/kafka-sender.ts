/** Single messages to a topic that others read, each acknowledged by every copy that is in sync before it counts as sent. */

import { Partitioners, type Producer } from 'kafkajs'
import { isRefusal, type KafkaOptions, newKafka, unavailable, within } from './kafka-client.ts'

export interface KafkaMessage {
  /** Messages with the same key stay in order. */
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
}

export interface KafkaSender {
  /** Rejects with `stream_unavailable`; then it may have arrived all the same. */
  send(message: KafkaMessage): Promise<void>
  close(): Promise<void>
}

/** Connects with the first message, and anew after one that failed. `withinMs`: longest time for one. Default 30 000. */
export function kafkaSender(options: KafkaOptions, withinMs = 30_000): KafkaSender {
  let producer: Promise<Producer> | undefined
  const giveUp = (): void => {
    producer?.then((client) => client.disconnect()).catch(() => {})
    producer = undefined
  }
  return {
    async send({ key, value, headers }) {
      producer ??= connect(options)
      try {
        const { topic } = options
        const message = { key, value, headers: { ...headers } }
        const sent = producer.then((client) => client.send({ topic, acks: -1, messages: [message] }))
        const answers = await within(withinMs, sent)
        if (answers.length !== 1 || answers[0]!.errorCode !== 0) throw new Error('the broker did not take the message')
      } catch (thrown) {
        if (!isRefusal(thrown)) giveUp()
        throw unavailable(options, thrown)
      }
    },
    async close() {
      const client = await producer?.catch(() => undefined)
      await within(withinMs, client?.disconnect() ?? Promise.resolve()).catch(() => {})
    },
  }
}

async function connect(options: KafkaOptions): Promise<Producer> {
  const producer = (await newKafka(options)).producer({
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: false, // Experimental in kafkajs; a finding may come twice, and its id says so.
    maxInFlightRequests: 1,
  })
  await producer.connect()
  return producer
}
