/** Entries of a seldom kind, newest first, as they stand in the log: reports, attestations, acts of operators. */

import { type AuditEvent, decisionId, type EventBody, parseEvent } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import { readLeaves } from '../../store/leaves.ts'
import type { Db } from '../../store/schema.ts'
import { rowsOf } from '../../store/sql.ts'

export async function entriesOf<Kind extends EventBody['kind']>(
  db: Db,
  kind: Kind,
  limit: number,
): Promise<readonly (AuditEvent<Extract<EventBody, { readonly kind: Kind }>> & { readonly id: string })[]> {
  const places = await rowsOf<{ shard: number; index: string }>(
    db.execute(sql`select shard, index from others where kind = ${kind} order by at desc, index desc limit ${limit}`),
  )
  const found: object[] = []
  for (const { shard, index } of places) {
    const [leaf] = await readLeaves(db, Number(shard), [Number(index)])
    const read = leaf && parseEvent(leaf.bytes)
    if (read && 'event' in read) found.push({ ...read.event, id: decisionId(read.event) })
  }
  return found as never
}
