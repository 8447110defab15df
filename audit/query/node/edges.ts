/** Sums over the log: who calls whom and how that goes. What the console draws. */

import { toHex } from '../../../core/bytes.ts'
import { and, count, countDistinct, desc, eq, gte, isNull, lt, max, sql } from '../../store/drizzle.ts'
import { ofRecord } from '../../store/ends.ts'
import { recallShard } from '../../store/recall.ts'
import { checkpoints, type Db, epochs, gaps, outcomes, records } from '../../store/schema.ts'
import type { Counts, Edge } from '../answer.ts'
import { isoTime } from './find.ts'

/** Edges at most, the busiest first. */
const maxEdges = 1000

/** Inbound decisions that counted, by caller and target, from `sinceMs` on and before `untilMs`. */
export async function edges(db: Db, sinceMs: number, untilMs: number = Date.now()): Promise<readonly Edge[]> {
  const durationMs = sql`${outcomes.durationUs} / 1000.0`
  const rows = await db
    .select({
      caller: records.caller,
      target: records.target,
      allowed: countWhere('allow'),
      denied: countWhere('deny'),
      faults: countWhere('fault'),
      p50Ms: sql<number | null>`percentile_cont(0.5) within group (order by ${durationMs})`.mapWith(Number),
      p95Ms: sql<number | null>`percentile_cont(0.95) within group (order by ${durationMs})`.mapWith(Number),
      timed: count(outcomes.durationUs),
      lastAt: max(records.at),
    })
    .from(records)
    .leftJoin(outcomes, ofRecord)
    .where(
      and(
        eq(records.kind, 'decision'),
        eq(records.direction, 'inbound'),
        eq(records.enforced, true),
        gte(records.at, new Date(sinceMs).toISOString()),
        lt(records.at, new Date(untilMs).toISOString()),
      ),
    )
    .groupBy(records.caller, records.target)
    .orderBy(desc(count()))
    .limit(maxEdges)
  const seconds = Math.max(1, (untilMs - sinceMs) / 1000)
  return rows.map(({ caller, target, allowed, denied, faults, p50Ms, p95Ms, timed, lastAt }) => ({
    caller: caller || null,
    target: target ?? '',
    allowed,
    denied,
    faults,
    rate: (allowed + denied + faults) / seconds,
    p50Ms: timed > 0 ? p50Ms : null,
    p95Ms: timed > 0 ? p95Ms : null,
    lastAt: isoTime(lastAt ?? ''),
  }))
}

/** Totals, of decisions from `sinceMs` on. A call that its own proxy only passed on counts where it was judged. */
export async function counts(db: Db, sinceMs: number = 0): Promise<Counts> {
  const [sums] = await db
    .select({
      allowed:
        sql<number>`count(*) filter (where ${records.verdict} = 'allow' and ${records.code} <> 'routed' and ${records.enforced} is not false)`.mapWith(
          Number,
        ),
      denied: countWhere('deny'),
      faults: countWhere('fault'),
      callers: countDistinct(records.caller),
      targets: countDistinct(records.target),
      anomalies: sql<number>`count(*) filter (where ${records.kind} = 'anomaly')`.mapWith(Number),
    })
    .from(records)
    .where(gte(records.at, new Date(sinceMs).toISOString()))
  const [lost] = await db
    .select({ missing: sql<number>`coalesce(sum(${gaps.last} - ${gaps.first} + 1), 0)`.mapWith(Number) })
    .from(gaps)
    .where(isNull(gaps.closedIndex))
  const shards = await db.selectDistinct({ shard: epochs.shard }).from(epochs).orderBy(epochs.shard)
  const ends = await Promise.all(shards.map(({ shard }) => endOf(db, shard)))
  return {
    records: ends.reduce((sum, { size }) => sum + size, 0),
    allowed: sums?.allowed ?? 0,
    denied: sums?.denied ?? 0,
    faults: sums?.faults ?? 0,
    callers: sums?.callers ?? 0,
    targets: sums?.targets ?? 0,
    missing: lost?.missing ?? 0,
    anomalies: sums?.anomalies ?? 0,
    checkpoints: ends.flatMap(({ checkpoint }) => checkpoint ?? []),
  }
}

async function endOf(db: Db, shard: number) {
  const { size } = await recallShard(db, shard)
  const [newest] = await db
    .select()
    .from(checkpoints)
    .where(eq(checkpoints.shard, shard))
    .orderBy(desc(checkpoints.size))
    .limit(1)
  const checkpoint = newest && {
    shard,
    size: newest.size,
    root: toHex(newest.root),
    at: isoTime(newest.at),
  }
  return { size, checkpoint }
}

const countWhere = (verdict: string) =>
  sql<number>`count(*) filter (where ${records.verdict} = ${verdict} and ${records.enforced} is not false)`.mapWith(
    Number,
  )
