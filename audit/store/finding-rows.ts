/** Findings of a store that is made again, from the entries that told them: known ones are not told a second time. */

import { type AcknowledgementBody, type AuditEvent, decisionId, type FindingBody } from '../../core/record.ts'
import { parseTime } from '../../core/time.ts'
import { mayWrite } from '../verify/records.ts'
import type { ArrivedRecord } from './arrival.ts'
import { sql } from './drizzle.ts'
import type { Db } from './schema.ts'

/** With who acknowledged them. To be called with the entries of a shard in order. */
export async function readmitFindings(tx: Db, shard: number, entries: readonly ArrivedRecord[]): Promise<void> {
  const found = entries.flatMap(({ event }) =>
    event.kind === 'finding' && mayWrite(event.kind, event.producer) ? [event as AuditEvent<FindingBody>] : [],
  )
  if (found.length > 0) {
    const rows = found.map((event) => {
      const { v, td, cluster, producer, epoch, seq, prev, timestamp, ...body } = event
      return { key: body.key, ms: msOf(timestamp), body: JSON.stringify(body), id: decisionId(event) }
    })
    await tx.execute(sql`insert into findings (key, shard, found_ms, body, id)
      select r.key, ${shard}, r.ms, r.body, r.id from json_to_recordset(${JSON.stringify(rows)}::json)
        as r(key text, ms bigint, body text, id text) on conflict do nothing`)
  }
  for (const { event } of entries) {
    if (event.kind !== 'acknowledgement' || !mayWrite(event.kind, event.producer)) continue
    await acknowledge(tx, event as AuditEvent<AcknowledgementBody>)
  }
}

/** What somebody said of a finding stands with it. */
export async function acknowledge(tx: Db, event: AuditEvent<AcknowledgementBody>): Promise<void> {
  const { of, by, actor, note, timestamp } = event
  await tx.execute(sql`update findings set acknowledged_by = ${String(by)}, acknowledged_actor = ${String(actor)},
    acknowledged_note = ${String(note)}, acknowledged_ms = ${msOf(timestamp)}, acknowledged_id = ${decisionId(event)}
    where id = ${String(of)}`)
}

const msOf = (timestamp: string): number => Number((parseTime(timestamp) ?? 0n) / 1_000_000n)
