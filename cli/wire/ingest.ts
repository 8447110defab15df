/** What Kafka holds, into the log. */

import type { Auditor } from '../../audit/node/auditor.ts'
import { runKafkaIngest } from '../../audit/node/kafka.ts'
import type { StreamPlace } from '../../core/snapshot.ts'
import type { OnEvent } from './telemetry.ts'

export function openIngest(
  place: Extract<StreamPlace, { kind: 'kafka' }>,
  auditor: Auditor,
  onEvent: OnEvent,
): Promise<{ close(): Promise<void> }> {
  return runKafkaIngest({
    brokers: place.brokers,
    topic: place.topic,
    clientId: 'writ-auditor',
    groupId: `${place.topic}.auditor`,
    offsetOf: (partition) => auditor.nextOffset(partition),
    ingest: auditor.ingest,
    onEvent: ({ level, detail, name }) => onEvent({ level, from: 'kafka', text: `${name}: ${detail}` }),
  })
}
