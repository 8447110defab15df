/** Adds what came since to the sums by the hour. Done by SQL from rows alone, so that a crash costs nothing but time. */

import { type SQL, sql } from './drizzle.ts'
import { bucketSize } from './rows.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'
import { sumColumns } from './volume.ts'

export interface Stride {
  /** Leaves in one step. */
  readonly step: number
  /** Leaves before a step that its ends are looked for in at once; older ones are found one by one. */
  readonly before: number
}
const stride: Stride = { step: 250_000, before: 100_000 }

/** One step of a shard, in a transaction of its own; false where nothing is left to add. */
export async function foldTraffic(tx: Db, shard: number, { step, before }: Stride = stride): Promise<boolean> {
  const [at] = await rowsOf<{ below: string; size: string | null }>(
    tx.execute(sql`select below, (select last + 1 from batches where shard = ${shard} order by first desc limit 1) as size
      from rolled where shard = ${shard} for update`),
  )
  const from = Number(at?.below ?? 0)
  const to = Math.min(from + step, Number(at?.size ?? 0))
  if (to <= from) return false
  const [times] = await rowsOf<{ first: string; last: string; earlier: string }>(
    tx.execute(sql`select min(first_at) filter (where last >= ${from})::text as first,
        max(last_at) filter (where last >= ${from})::text as last, min(first_at)::text as earlier
      from batches where shard = ${shard} and first < ${to} and last >= ${from - before}
        and first >= coalesce((select max(first) from batches where shard = ${shard} and first <= ${from - before}), 0)`),
  )
  // PostgreSQL takes what it reckons in a `with` for a few rows, and would compare each end with each row. With those
  // loops off the one that has to be is dear on paper, and machine code would be made for it: seconds each time.
  await tx.execute(sql`set local jit = off`)
  await tx.execute(sql`set local enable_nestloop = off`)
  await tx.execute(sumsOf(shard, { from, to, back: from - before }, times!))
  await tx.execute(peersOf(shard, { from, to }, times!))
  await tx.execute(sql`set local enable_nestloop = on`)
  await tx.execute(sql`update rolled set below = ${to} where shard = ${shard}`)
  return true
}

function sumsOf(
  shard: number,
  { from, to, back }: { readonly from: number; readonly to: number; readonly back: number },
  times: { readonly first: string; readonly last: string; readonly earlier: string },
): SQL {
  const cell = sql`date_trunc('hour', r.at, 'UTC') as hour, r.shape, coalesce(r.caller, 0) as caller`
  return sql`with told as materialized (
      select e.run, e.bucket * ${sql.raw(String(bucketSize))} + o.seq as seq,
        coalesce(o.duration, e.durations[1]) as duration,
        (coalesce(o.status, e.statuses[1]) >= 500 or n.name like 'upstream%')::integer as error
      from ends e cross join lateral unnest(e.seqs, e.codes, e.statuses, e.durations) as o (seq, code, status, duration)
        join names n on n.id = coalesce(o.code, e.codes[1])
      where e.shard = ${shard} and e.index >= ${from} and e.index < ${to} and e.at between ${times.first} and ${times.last}
    ), near as materialized (
      select t.run, t.seq, t.duration, t.error, r.at, r.shape, r.caller
      from told t left join rows r on r.run = t.run and r.seq = t.seq and r.shard = ${shard}
        and r.index >= ${back} and r.index < ${to} and r.at between ${times.earlier} and ${times.last}
    ), ended as (
      select at, shape, caller, duration, error from near where shape is not null
      union all
      select r.at, r.shape, r.caller, t.duration, t.error
      from near t cross join lateral (
          select * from spans s where s.run = t.run and s.first_seq <= t.seq order by s.first_seq desc limit 1
        ) s
        cross join lateral (
          select r.at, r.shape, r.caller from rows r where r.shard = ${shard} and r.run = t.run and r.seq = t.seq
            and r.at between s.first_at and s.last_at and r.index between s.first and s.last
          offset 0 -- Looked up one by one: as a join it would read every row there is.
        ) r
      where t.shape is null and s.last_seq >= t.seq
    ), sums as materialized (
      select ${cell}, count(*) as decisions, min(r.index) as first_index, max(r.index) as last_index,
        min(r.at) as first_at, max(r.at) as last_at, 0 as outcomes, 0 as errors, 0 as duration_us_sum
      from rows r join shapes s on s.id = r.shape and s.kind = 'decision'
      where r.shard = ${shard} and r.index >= ${from} and r.index < ${to} and r.at between ${times.first} and ${times.last}
      group by 1, 2, 3
      union all
      select ${cell}, 0, null, null, null, null, count(*), sum(r.error), sum(r.duration) from ended r group by 1, 2, 3
    ), days as (${addedTo('rollup_days', 'day', shard)})
    ${addedTo('rollups', 'hour', shard)}`
}

/** Adds `sums` to a table of sums by the hour or by the day. */
const addedTo = (table: string, when: 'hour' | 'day', shard: number): SQL =>
  sql.raw(`insert into ${table} as t (shard, ${when}, shape, caller, ${sumColumns})
    select ${shard}, date_trunc('${when}', hour, 'UTC'), shape, caller, sum(decisions), min(first_index), max(last_index),
      min(first_at), max(last_at), sum(outcomes), sum(errors), sum(duration_us_sum)
    from sums group by 2, 3, 4
    on conflict (${when}, shape, caller, shard) do update set decisions = t.decisions + excluded.decisions,
      first_index = least(t.first_index, excluded.first_index), last_index = greatest(t.last_index, excluded.last_index),
      first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at),
      outcomes = t.outcomes + excluded.outcomes, errors = t.errors + excluded.errors,
      duration_us_sum = t.duration_us_sum + excluded.duration_us_sum`)

/** Certificates, and the last that each was used for in an hour. */
export const peersOf = (
  shard: number,
  { from, to }: { from: number; to: number },
  times: { first: string; last: string },
): SQL =>
  sql`insert into rollup_peers as t (shard, hour, caller, peer, decisions, last_index, last_at)
    select ${shard}::integer, date_trunc('hour', r.at, 'UTC'), r.caller, r.peer, count(*), max(r.index), max(r.at)
    from rows r join shapes s on s.id = r.shape and s.kind = 'decision'
      join peers p on p.id = r.peer and p.serial is not null
    where r.shard = ${shard} and r.index >= ${from} and r.index < ${to} and r.at between ${times.first} and ${times.last}
      and r.caller is not null
    group by 2, 3, 4
    on conflict (hour, caller, peer, shard) do update set decisions = t.decisions + excluded.decisions,
      last_index = greatest(t.last_index, excluded.last_index), last_at = greatest(t.last_at, excluded.last_at)`
