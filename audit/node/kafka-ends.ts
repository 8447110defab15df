/** How far each partition of the topic goes now: what has been read up to there holds all that was sent before. */

import { type KafkaOptions, newKafka, unavailable, within } from './kafka-client.ts'

/** Offset of the next record of each partition that holds any. Rejects with `stream_unavailable`. */
export async function kafkaEnds(options: KafkaOptions): Promise<ReadonlyMap<number, bigint>> {
  const admin = (await newKafka(options)).admin()
  try {
    await within(15_000, admin.connect())
    const ends = await within(15_000, admin.fetchTopicOffsets(options.topic))
    return new Map(ends.filter(({ low, high }) => low !== high).map(({ partition, high }) => [partition, BigInt(high)]))
  } catch (thrown) {
    throw unavailable(options, thrown)
  } finally {
    admin.disconnect().catch(() => {})
  }
}
