/** Entries that were stored while nobody looked, read again from the store. */

import { parseEvent } from '../../../core/record.ts'
import { isoTime } from '../../query/node/find.ts'
import { and, eq, gte, lt } from '../../store/drizzle.ts'
import { leavesAt } from '../../store/leaves.ts'
import { type Db, records } from '../../store/schema.ts'
import { notedKinds, type Seen, seenIn, seenOf } from '../seen.ts'

/** Entries that are read at once. */
const pageSize = 2000

/** From `cursor` on, and the index after the last that was read. */
export async function seenAgain(
  db: Db,
  shard: number,
  cursor: number,
): Promise<{ readonly seen: readonly Seen[]; readonly to: number }> {
  const from = (beyond: number | undefined) =>
    db
      .select()
      .from(records)
      .where(
        and(
          eq(records.shard, shard),
          gte(records.index, cursor),
          beyond === undefined ? undefined : lt(records.index, beyond),
        ),
      )
      .orderBy(records.index)
      .limit(pageSize)
  // Bounded, for the store has no index in this order. Beyond an empty stretch there is something only after a pruning.
  const near = await from(cursor + pageSize)
  const rows = near.length > 0 ? near : await from(undefined)
  const noted = rows.filter(({ kind }) => notedKinds.includes(kind)).map(({ index }) => index)
  const whole = await leavesAt(db, shard, noted)
  const notedAt = (index: number): Seen | undefined => {
    const bytes = whole.get(index)
    const parsed = bytes && parseEvent(bytes)
    return parsed && 'event' in parsed ? seenOf(parsed.event, index) : undefined
  }
  const seen: Seen[] = []
  for (const row of rows) {
    const one = row.kind === 'decision' ? seenIn({ ...row, at: isoTime(row.at) }, row.index) : notedAt(row.index)
    if (one) seen.push(one)
  }
  return { seen, to: (rows.at(-1)?.index ?? cursor - 1) + 1 }
}
