/**
 * The canned questions as SQL functions, for whoever has psql and for the commands alike: one definition of each.
 * They sum `traffic`, hour by hour, and never read `records` whole. `since` counts from the beginning of its hour.
 */

/** What one side did to the other, by caller, target and operation; `whose` says which side `name` names. */
const accesses = (name: string, whose: string): string => `create function ${name}(
  name text, since timestamptz, until timestamptz default now(), facing text default 'inbound'
) returns table (
  caller text, target text, method text, verdict text, code text, bundle text, revision text, decisions bigint,
  errors bigint, mean_ms double precision, first_at timestamptz, last_at timestamptz, shard integer, index bigint
) language sql stable as $$
  select c.caller, c.target, c.method, c.verdict, c.code, c.bundle, c.revision, sum(c.decisions)::bigint,
    sum(c.errors)::bigint, sum(c.duration_us_sum) / nullif(sum(c.outcomes), 0) / 1000.0::double precision,
    min(c.first_at), max(c.last_at), (array_agg(c.shard order by c.last_at desc nulls last))[1],
    (array_agg(c.last_index order by c.last_at desc nulls last))[1]
  from writ_counted(since, until, facing) c
  where ${whose}
  group by 1, 2, 3, 4, 5, 6, 7
  order by 8 desc, 12 desc
$$`

/** In order; each may stand on those before. */
export const questionFunctions: readonly string[] = [
  // A whole id, or the end of its path: `web`.
  `create function writ_named(id text, name text) returns boolean language sql immutable as $$
    select id = name or (name not like 'spiffe://%' and right(id, length(name) + 1) = '/' || name)
  $$`,
  // What changed something, in whole hours. `facing` is inbound, outbound, or any.
  `create function writ_counted(since timestamptz, until timestamptz, facing text default 'inbound')
  returns table (
    shard integer, hour timestamptz, direction text, caller text, target text, service text, method text, verdict text,
    code text, bundle text, revision text, policy_sha256 text, decisions bigint, first_index bigint, last_index bigint,
    first_at timestamptz, last_at timestamptz, outcomes bigint, errors bigint, duration_us_sum bigint
  ) language sql stable as $$
    select t.shard, t.hour, t.direction, coalesce(t.caller, ''), coalesce(t.target, ''), coalesce(t.service, ''),
      coalesce(t.method, ''), t.verdict, t.code, coalesce(t.bundle, ''), coalesce(t.revision, ''),
      coalesce(t.policy_sha256, ''), t.decisions, t.first_index, t.last_index, t.first_at, t.last_at, t.outcomes,
      t.errors, t.duration_us_sum
    from traffic t
    where t.hour >= date_trunc('hour', since, 'UTC') and t.hour < until
      and t.enforced is not false and (facing = 'any' or t.direction = facing)
  $$`,
  accesses('writ_who_accessed', 'writ_named(c.target, name) or c.service = name'),
  accesses('writ_touched_by', 'writ_named(c.caller, name)'),
  // Denials of an hour beside the same hour of the week in the eight weeks before, or, where fewer than three of those
  // are in the log, the same hour of the day in the seven days before. The spread is 1.4826 times the median of the
  // deviations (MAD), and never less than a Poisson process of the median would have. Of a long window the 2,000 hours
  // and edges with the most denials are compared: a bound for what one question costs.
  `create function writ_denied_spikes(
    since timestamptz, until timestamptz default now(), at_least bigint default 5, score_over double precision default 4
  ) returns table (
    caller text, target text, hour timestamptz, denied bigint, decisions bigint, usual double precision,
    spread double precision, score double precision, baseline text, samples integer, shard integer, index bigint
  ) language sql stable as $$
    with refused as (
      select c.hour, c.caller, c.target, sum(c.decisions)::bigint as denied,
        (array_agg(c.shard order by c.last_at desc nulls last))[1] as shard,
        (array_agg(c.last_index order by c.last_at desc nulls last))[1] as index
      from writ_counted(since - interval '56 days', until) c
      where c.verdict in ('deny', 'fault')
      group by 1, 2, 3
    ),
    here as (
      select r.* from refused r where r.hour >= date_trunc('hour', since, 'UTC') and r.denied >= at_least
      order by r.denied desc limit 2000
    ),
    began as (select min(t.hour) as hour from traffic t),
    samples as (
      select h.hour, h.caller, h.target, s.baseline, coalesce(r.denied, 0) as denied
      from here h
      cross join began b
      cross join lateral (
        select 'hour of week' as baseline, h.hour - make_interval(days => 7 * k) as hour from generate_series(1, 8) k
        union all
        select 'hour of day', h.hour - make_interval(days => k) from generate_series(1, 7) k
      ) s
      left join refused r on r.hour = s.hour and r.caller = h.caller and r.target = h.target
      where s.hour >= b.hour
    ),
    middles as (
      select s.hour, s.caller, s.target, s.baseline, count(*)::integer as samples,
        percentile_cont(0.5) within group (order by s.denied) as usual
      from samples s group by 1, 2, 3, 4 having count(*) >= 3
    ),
    spreads as (
      select m.hour, m.caller, m.target, m.baseline, m.samples, m.usual, greatest(
        1.4826 * percentile_cont(0.5) within group (order by abs(s.denied - m.usual)), sqrt(greatest(m.usual, 1))
      ) as spread
      from middles m
      join samples s using (hour, caller, target, baseline)
      group by 1, 2, 3, 4, 5, 6
    ),
    judged as (
      select distinct on (h.hour, h.caller, h.target) h.*, p.usual, p.spread, (h.denied - p.usual) / p.spread as score,
        p.baseline, coalesce(p.samples, 0) as samples
      from here h
      left join spreads p using (hour, caller, target)
      order by h.hour, h.caller, h.target, p.baseline desc
    ),
    totals as (
      select c.hour, c.caller, c.target, sum(c.decisions)::bigint as decisions
      from writ_counted(since, until) c group by 1, 2, 3
    )
    select j.caller, j.target, j.hour, j.denied, t.decisions, j.usual, j.spread, j.score, j.baseline, j.samples, j.shard,
      j.index
    from judged j
    join totals t using (hour, caller, target)
    where j.score > score_over or j.score is null
    order by j.score desc nulls last, j.denied desc
  $$`,
  // Who calls what for the first time that the log knows of.
  `create function writ_first_seen_edges(since timestamptz, until timestamptz default now())
  returns table (
    caller text, target text, method text, first_at timestamptz, decisions bigint, refused bigint, shard integer,
    index bigint
  ) language sql stable as $$
    with firsts as (
      select c.caller, c.target, c.method, min(c.first_at) as first_at
      from writ_counted('-infinity', until) c
      group by 1, 2, 3
      having min(c.first_at) >= since and min(c.first_at) < until
    )
    select f.caller, f.target, f.method, f.first_at, sum(c.decisions)::bigint,
      coalesce(sum(c.decisions) filter (where c.verdict <> 'allow'), 0)::bigint,
      (array_agg(c.shard order by c.first_at))[1], (array_agg(c.first_index order by c.first_at))[1]
    from firsts f
    join writ_counted(since, until) c using (caller, target, method)
    group by 1, 2, 3, 4
    order by f.first_at desc
  $$`,
  // Jensen-Shannon divergence, in bits from 0 to 1, of what a caller asked for and what it asked for before.
  `create function writ_moved_callers(
    since timestamptz, until timestamptz default now(), before interval default '7 days', at_least bigint default 50,
    moved_over double precision default 0.1
  ) returns table (
    caller text, divergence double precision, decisions bigint, decisions_before bigint, target text, method text,
    share double precision, share_before double precision, last_at timestamptz, shard integer, index bigint
  ) language sql stable as $$
    with mixed as (
      select c.caller, c.target, c.method, coalesce(sum(c.decisions) filter (where c.hour >= s.hour), 0) as now,
        coalesce(sum(c.decisions) filter (where c.hour < s.hour), 0) as before, max(c.last_at) as last_at,
        (array_agg(c.shard order by c.last_at desc nulls last))[1] as shard,
        (array_agg(c.last_index order by c.last_at desc nulls last))[1] as index
      from writ_counted(since - before, until) c, (select date_trunc('hour', since, 'UTC') as hour) s
      where c.caller <> ''
      group by 1, 2, 3
    ),
    shares as (
      select m.*, sum(m.now) over w as all_now, sum(m.before) over w as all_before,
        (m.now / nullif(sum(m.now) over w, 0))::double precision as p,
        (m.before / nullif(sum(m.before) over w, 0))::double precision as q
      from mixed m window w as (partition by m.caller)
    ),
    parts as (
      select s.*,
        (case when p > 0 then p * ln(2 * p / (p + q)) else 0 end
          + case when q > 0 then q * ln(2 * q / (p + q)) else 0 end) / 2 / ln(2::double precision) as part
      from shares s where s.all_now >= at_least and s.all_before >= at_least
    ),
    ranked as (
      select p.*, sum(part) over w as divergence, row_number() over (partition by p.caller order by part desc) as rank
      from parts p window w as (partition by p.caller)
    )
    select r.caller, r.divergence, r.all_now::bigint, r.all_before::bigint, r.target, r.method, r.p, r.q, r.last_at,
      r.shard, r.index
    from ranked r where r.rank = 1 and r.divergence > moved_over
    order by r.divergence desc
  $$`,
  // Whoever passed without a name that was proven. There should be nobody.
  `create function writ_unidentified_allows(since timestamptz, until timestamptz default now())
  returns table (
    target text, method text, code text, bundle text, revision text, decisions bigint, first_at timestamptz,
    last_at timestamptz, shard integer, index bigint
  ) language sql stable as $$
    select c.target, c.method, c.code, c.bundle, c.revision, sum(c.decisions)::bigint, min(c.first_at), max(c.last_at),
      (array_agg(c.shard order by c.last_at desc nulls last))[1],
      (array_agg(c.last_index order by c.last_at desc nulls last))[1]
    from writ_counted(since, until) c
    where c.caller = '' and (c.verdict = 'allow' or c.code = 'fault_passed')
    group by 1, 2, 3, 4, 5
    order by 6 desc
  $$`,
  `create function writ_policy_revisions(since timestamptz, until timestamptz default now())
  returns table (
    bundle text, revision text, sha256 text, decisions bigint, allowed bigint, denied bigint, faults bigint,
    first_at timestamptz, last_at timestamptz, shard integer, index bigint
  ) language sql stable as $$
    select c.bundle, c.revision, c.policy_sha256, sum(c.decisions)::bigint,
      coalesce(sum(c.decisions) filter (where c.verdict = 'allow'), 0)::bigint,
      coalesce(sum(c.decisions) filter (where c.verdict = 'deny'), 0)::bigint,
      coalesce(sum(c.decisions) filter (where c.verdict = 'fault'), 0)::bigint, min(c.first_at), max(c.last_at),
      (array_agg(c.shard order by c.last_at desc nulls last))[1],
      (array_agg(c.last_index order by c.last_at desc nulls last))[1]
    from writ_counted(since, until, 'any') c
    where c.bundle <> ''
    group by 1, 2, 3
    order by max(c.last_at) desc
  $$`,
  // What was really used of what is allowed.
  `create function writ_used_edges(since timestamptz, until timestamptz default now())
  returns table (
    caller text, target text, method text, bundle text, decisions bigint, last_at timestamptz, shard integer,
    index bigint
  ) language sql stable as $$
    select c.caller, c.target, c.method, c.bundle, sum(c.decisions)::bigint, max(c.last_at),
      (array_agg(c.shard order by c.last_at desc nulls last))[1],
      (array_agg(c.last_index order by c.last_at desc nulls last))[1]
    from writ_counted(since, until) c
    where c.verdict = 'allow' and c.caller <> ''
    group by 1, 2, 3, 4
    order by 5 desc
  $$`,
  // A certificate at the first and the last call of each hour, caller, operation and verdict: not every use of it.
  `create function writ_serials(since timestamptz, until timestamptz default now())
  returns table (
    caller text, serial text, source_address text, at timestamptz, shard integer, index bigint
  ) language sql stable as $$
    with seen as (
      select c.shard, c.first_index as index from writ_counted(since, until, 'any') c where c.caller <> ''
      union
      select c.shard, c.last_index from writ_counted(since, until, 'any') c where c.caller <> ''
    )
    select r.caller, r.serial, r.source_address, r.at, r.shard, r.index
    from seen s join records r on r.shard = s.shard and r.index = s.index
    where r.serial <> '' and r.at >= date_trunc('hour', since, 'UTC') and r.at < until + interval '1 hour'
  $$`,
  // Numbers that did not arrive, or arrived late.
  `create view writ_gaps as
    select e.shard, e.producer, g.epoch, g.first, g.last, g.last - g.first + 1 as numbers, g.opened_index,
      g.closed_index
    from gaps g join epochs e on e.epoch = g.epoch`,
  `create view writ_producers as
    select e.shard, e.producer, e.epoch, e.next_seq as records, e.next_seq - 1 - e.attested_seq as unattested, e.final,
      e.started_at, e.last_at
    from epochs e`,
]
