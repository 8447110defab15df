/**
 * Runs whose spool did not come back: they never ended, no later run quotes them, and one that began afterwards had
 * nothing of before. Where the spool survives a kill, the next run of its folder quotes the one before, so that nothing
 * is told of it. All by rows of `epochs`. Each is told in the log of its own partition; the runs after it may be in others,
 * since partitions may have been added in between.
 */

import { logStride, partitionOf } from '../../core/log.ts'
import type { AuditEvent, Epoch, SpoolLostBody } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { isAuditor } from '../verify/records.ts'
import type { ArrivedRecord } from './arrival.ts'
import { sql } from './drizzle.ts'
import { type Db, offsets } from './schema.ts'
import { rowsOf } from './sql.ts'

/** Entries of one look; the rest comes with the next. */
const atOnce = 64
/** Runs that ended longer ago are nobody's news. */
const oldestDays = 30

/** Time as a record has it, of a column. */
const iso = (column: string) => sql.raw(`to_char(${column} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"000Z"')`)

type Row = {
  readonly epoch: Epoch
  readonly producer: SpiffeId
  readonly last: string
  readonly attested: string
  readonly since: string
  readonly next: Epoch
  readonly next_at: string
}

const bodyOf = (
  action: SpoolLostBody['action'],
  { epoch, producer, last, attested, since, next, next_at }: Row,
): SpoolLostBody => ({
  kind: 'spool_lost',
  action,
  of: { producer, epoch },
  last: Number(last),
  attested: Number(attested),
  silent_since: since,
  next,
  next_at,
})

/**
 * What is to be told of a shard's partition now. `silentMs`: for so long the run that began afterwards has gone on while
 * the other said nothing; one that lives signs once a minute. `now` is RFC 3339. `everywhere`: the run that began afterwards
 * may be in another partition; what another one has may not have been read yet.
 */
export async function findLostSpools(
  db: Db,
  shard: number,
  now: string,
  silentMs: number,
  everywhere = false,
): Promise<readonly SpoolLostBody[]> {
  const partition = partitionOf(shard)
  const returned = await rowsOf<Row>(
    db.execute(sql`select e.epoch, e.producer, l.next_seq - 1 as last, e.attested_seq as attested,
        ${iso('e.last_at')} as since, l.next_epoch as next, ${iso('n.started_at')} as next_at
      from lost_spools l join epochs e on e.epoch = l.epoch join epochs n on n.epoch = l.next_epoch
      where l.closed_index is null and l.shard % ${logStride} = ${partition}
        and (e.next_seq > l.next_seq or e.final or exists (select from epochs q where q.previous = e.epoch))
      limit ${atOnce}`),
  )
  const lost = await rowsOf<Row>(
    db.execute(sql`select o.epoch, o.producer, o.next_seq - 1 as last, o.attested_seq as attested,
        ${iso('o.last_at')} as since, n.epoch as next, ${iso('n.started_at')} as next_at
      from epochs o cross join lateral (
        select n.epoch, n.started_at from epochs n
        where n.producer = o.producer and n.previous = '' and n.started_at > o.last_at
          and (${everywhere} or n.shard % ${logStride} = ${partition})
          and n.last_at > o.last_at + make_interval(secs => ${silentMs / 1000})
        order by n.started_at limit 1
      ) n
      where not o.final and o.previous is not null and o.shard % ${logStride} = ${partition}
        and o.last_at > ${now}::timestamptz - make_interval(days => ${oldestDays})
        and not exists (select from epochs q where q.previous = o.epoch)
        and not exists (select from lost_spools l where l.epoch = o.epoch)
      limit ${atOnce}`),
  )
  return [...returned.map((row) => bodyOf('closed', row)), ...lost.map((row) => bodyOf('opened', row))]
}

/** Whether the store has all of each partition before these offsets. */
export async function readUpTo(db: Db, ends: ReadonlyMap<number, bigint>): Promise<boolean> {
  const read = new Map<number, bigint>()
  for (const { shard, nextOffset } of await db.select().from(offsets)) {
    const [partition, next] = [partitionOf(shard), BigInt(nextOffset)]
    if (next > (read.get(partition) ?? 0n)) read.set(partition, next)
  }
  return [...ends].every(([partition, end]) => (read.get(partition) ?? 0n) >= end)
}

/** In the transaction of the entries; the first of them is at index `first`. */
export async function keepLostSpools(
  tx: Db,
  shard: number,
  first: number,
  bodies: readonly SpoolLostBody[],
): Promise<void> {
  for (const [i, { action, of, last, next }] of bodies.entries()) {
    await tx.execute(
      action === 'opened'
        ? sql`insert into lost_spools (epoch, shard, next_epoch, next_seq, opened_index)
            values (${of.epoch}, ${shard}, ${next}, ${last + 1}, ${first + i}) on conflict (epoch) do nothing`
        : sql`update lost_spools set closed_index = ${first + i} where epoch = ${of.epoch}`,
    )
  }
}

/** The same from entries of a log that a store is made again from. */
export async function readmitLostSpools(
  tx: Db,
  shard: number,
  first: number,
  entries: readonly ArrivedRecord[],
): Promise<void> {
  for (const [i, { event }] of entries.entries()) {
    if (event.kind !== 'spool_lost' || !isAuditor(event.producer)) continue
    await keepLostSpools(tx, shard, first + i, [event as AuditEvent<SpoolLostBody>])
  }
}
