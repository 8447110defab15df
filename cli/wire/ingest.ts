/** What Kafka holds, into the log. */

import type { Auditor } from '../../audit/node/auditor.ts'
import { auditorGroup, kafkaEnds, runKafkaIngest } from '../../audit/node/kafka.ts'
import type { StreamEnds } from '../../audit/node/lost-doubts.ts'
import type { StreamPlace } from '../../core/snapshot.ts'
import { kafkaAccess } from './kafka-access.ts'
import type { OnEvent } from './telemetry.ts'

export async function openIngest(
  place: Extract<StreamPlace, { kind: 'kafka' }>,
  auditor: Auditor,
  onEvent: OnEvent,
): Promise<{ close(): Promise<void> }> {
  return runKafkaIngest({
    brokers: place.brokers,
    topic: place.topic,
    credentials: await kafkaAccess(place),
    clientId: 'writ-auditor',
    groupId: auditorGroup(place.topic),
    offsetOf: (partition) => auditor.nextOffset(partition),
    ingest: auditor.ingest,
    onEvent: ({ level, detail, name }) => onEvent({ level, from: 'kafka', text: `${name}: ${detail}` }),
  })
}

/** How far its partitions go. */
export const endsOf =
  (place: Extract<StreamPlace, { kind: 'kafka' }>): StreamEnds =>
  async () => {
    const { brokers, topic } = place
    return kafkaEnds({ brokers, topic, credentials: await kafkaAccess(place), clientId: 'writ-auditor' })
  }
