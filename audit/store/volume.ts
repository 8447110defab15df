/**
 * Version 8 of the store: what keeps answers quick and rows small over many millions of decisions. Sums by the day and by
 * the certificate beside those by the hour, the places of seldom records, and times wherever partitions are looked into.
 */

/** Kinds of which there are about as many as of requests: every other record stands in `others`, too. */
export const usualKinds: readonly string[] = ['decision', 'opa_decision', 'outcomes', 'head']

/** Sums of decisions, whatever the time is that they are kept by. */
export const sumColumns = `decisions, first_index, last_index, first_at, last_at, outcomes, errors, duration_us_sum`

/** What two sums of the same thing become. */
const added = `sum(decisions), min(first_index), max(last_index), min(first_at), max(last_at), sum(outcomes), sum(errors),
  sum(duration_us_sum)`

/**
 * What the view `outcomes` is, with columns behind those that it had at first, from further arrays. An array of `ends` whose
 * values are all the same holds one of them: half of the bytes, as most requests end alike.
 */
const outcomesWith = (more: string, array: string, named: string): string => `
    select u.epoch, e.bucket * 256 + o.seq as seq, e.shard, e.index, c.name as code,
      coalesce(o.status, e.statuses[1])::integer as status, coalesce(o.request_bytes, e.requests[1]) as request_bytes,
      coalesce(o.response_bytes, e.responses[1]) as response_bytes, coalesce(o.duration_us, e.durations[1]) as duration_us,
      n.name as upstream, e.run as run_id, e.bucket as bucket${more}
    from ends e left join runs u on u.id = e.run
      cross join lateral unnest(e.seqs, e.codes, e.statuses, e.requests, e.responses, e.durations, e.upstreams${array})
        as o (seq, code, status, request_bytes, response_bytes, duration_us, upstream${named})
      left join names c on c.id = coalesce(o.code, e.codes[1])
      left join names n on n.id = coalesce(o.upstream, e.upstreams[1])`

export const volume: readonly string[] = [
  `create or replace view outcomes as ${outcomesWith('', '', '')}`,
  // Where the records are that are seldom: nobody finds them among millions by reading.
  `create table others (
    shard integer not null,
    kind text not null,
    index bigint not null,
    at timestamptz(6) not null,
    primary key (shard, kind, index)
  )`,
  // Sums by the day, for questions that go back for weeks: as `rollups`, of the same leaves.
  'create table rollup_days (like rollups including all)',
  'alter table rollup_days rename column hour to day',
  // In the order of time, as they are asked for, whatever shards there are.
  'alter table rollups drop constraint rollups_pkey, add primary key (hour, shape, caller, shard)',
  'alter table rollup_days drop constraint rollup_days_pkey, add primary key (day, shape, caller, shard)',
  `insert into rollup_days (shard, day, shape, caller, ${sumColumns})
    select shard, date_trunc('day', hour, 'UTC'), shape, caller, ${added} from rollups group by 1, 2, 3, 4`,
  // Which certificates were used from where, by the hour.
  `create table rollup_peers (
    shard integer not null,
    hour timestamptz not null,
    caller integer not null,
    peer integer not null,
    decisions bigint not null,
    last_index bigint not null,
    last_at timestamptz(6) not null,
    primary key (hour, caller, peer, shard)
  )`,
  // What upgrade.ts is still to look through, of a store that has rows already: in steps, for it may take minutes.
  `create table unfiled as select shard, 0::bigint as next, below, (
      select coalesce(max(last) + 1, 0) from batches b where b.shard = r.shard) as size
    from rolled r`,
  // Rows that are not in the sums yet. Asked for with their times written out: whatever days there are, those alone are
  // planned for and looked into.
  `create function writ_new_rows() returns setof rows language plpgsql stable as $$
    declare
      part record;
    begin
      for part in
        select w.shard, w.below, b.first_at, b.last_at from rolled w cross join lateral (
          select min(b.first_at) as first_at, max(b.last_at) as last_at from batches b
          where b.shard = w.shard and b.last >= w.below and b.first >= coalesce(
            (select max(c.first) from batches c where c.shard = w.shard and c.first <= w.below), 0)
        ) b
        where b.first_at is not null
      loop
        return query execute format('select * from rows where shard = %s and index >= %s and at between %L and %L',
          part.shard, part.below, part.first_at, part.last_at);
      end loop;
    end $$`,
  // Sums of those rows, their ends not yet told.
  `create view writ_new_traffic as
    select r.shard, date_trunc('hour', r.at, 'UTC') as hour, r.shape, coalesce(r.caller, 0) as caller,
      count(*) as decisions, min(r.index) as first_index, max(r.index) as last_index, min(r.at) as first_at,
      max(r.at) as last_at, 0::bigint as outcomes, 0::bigint as errors, 0::bigint as duration_us_sum
    from writ_new_rows() r group by 1, 2, 3, 4`,
  `create or replace view traffic as
    select t.shard, t.hour, s.direction, c.name as caller, s.target, s.service, s.method, s.verdict, s.code, s.by,
      s.enforced, s.bundle, s.revision, s.policy_sha256, t.decisions, t.first_index, t.last_index, t.first_at,
      t.last_at, t.outcomes, t.errors, t.duration_us_sum, t.shape as shape_id, nullif(t.caller, 0) as caller_id
    from (
      select shard, hour, shape, caller, ${sumColumns} from rollups
      union all
      select shard, hour, shape, caller, ${sumColumns} from writ_new_traffic
    ) t join shapes s on s.id = t.shape and s.kind = 'decision' left join names c on c.id = t.caller`,
  // Records by their places: `batches` says in which days they can be.
  `create function writ_placed(shards integer[], indexes bigint[]) returns table (
    shard integer, index bigint, at timestamptz, producer text, epoch text, seq bigint, path text
  ) language plpgsql stable as $$
    declare
      part record;
    begin
      for part in
        select w.shard, array_agg(w.index) as indexes, min(b.first_at) as first_at, max(b.last_at) as last_at
        from (select distinct * from unnest(shards, indexes) as u (shard, index)) w cross join lateral (
          select b.first_at, b.last_at from batches b where b.shard = w.shard and b.first <= w.index
          order by b.first desc limit 1
        ) b
        group by w.shard, date_trunc('day', b.first_at, 'UTC')
      loop
        return query execute format('select r.shard, r.index, r.at::timestamptz, u.producer, u.epoch, r.seq, r.path
          from rows r left join runs u on u.id = r.run
          where r.shard = %s and r.index = any(%L::bigint[]) and r.at between %L and %L',
          part.shard, part.indexes, part.first_at, part.last_at);
      end loop;
    end $$`,
]

/** Of version 10: what was tried in vain before a request ended so. Null in a row of before. */
export const attempts: readonly string[] = [
  'alter table ends add column tried text[]',
  `create or replace view outcomes as ${outcomesWith(
    `,
      case when e.tried is not null then coalesce((string_to_array(o.tried, chr(10)))[2:], '{}') end as attempts,
      nullif(split_part(o.tried, chr(10), 1), '') as stopped`,
    ', e.tried',
    ', tried',
  )}`,
]
