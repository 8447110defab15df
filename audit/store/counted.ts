/**
 * Questions' functions of version 8: over sums by the day where the window is longer than one, or by the hour beside
 * them. What questions.ts has is of version 3, and of `writ_counted` this one takes the place of that.
 */

/** Reckoned once, not for every row. */
const once = (time: string): string => `(select ${time})`
const firstHour = once(`date_trunc('hour', since, 'UTC')`)
/** The first midnight (UTC) from the beginning of that hour on, and the last before the end. */
const firstDay = once(
  `date_trunc('day', date_trunc('hour', since, 'UTC') + interval '1 day' - interval '1 microsecond', 'UTC')`,
)
const lastDay = once(`date_trunc('day', until, 'UTC')`)

const counts = `c.decisions, c.first_index, c.last_index, c.first_at, c.last_at, c.outcomes, c.errors, c.duration_us_sum`

/** What changed something, of sums by whatever time. */
const named = (
  sums: string,
): string => `select c.shard, c.hour, s.direction, coalesce(n.name, ''), coalesce(s.target, ''),
    coalesce(s.service, ''), coalesce(s.method, ''), s.verdict, s.code, coalesce(s.bundle, ''), coalesce(s.revision, ''),
    coalesce(s.policy_sha256, ''), ${counts}
  from (${sums}) c join shapes s on s.id = c.shape and s.kind = 'decision' left join names n on n.id = c.caller
  where s.enforced is not false and (facing = 'any' or s.direction = facing)`

const sums = (table: string, when: string, where: string): string =>
  `select c.shard, c.${when} as hour, c.shape, c.caller, ${counts} from ${table} c where ${where}`

const whole = `c.hour >= ${firstHour} and c.hour < until`

const countedColumns = `
  shard integer, hour timestamptz, direction text, caller text, target text, service text, method text, verdict text,
  code text, bundle text, revision text, policy_sha256 text, decisions bigint, first_index bigint, last_index bigint,
  first_at timestamptz, last_at timestamptz, outcomes bigint, errors bigint, duration_us_sum bigint`

/** What `refused` is beside its baseline, of hours and edges from `from` on. `fresh` is what no sums have yet. */
const judged = (from: string, fresh: string): string => `here as (
      select r.* from refused r where r.hour >= ${from} and r.denied >= at_least
      order by r.denied desc limit 2000
    ),
    began as (select least((select min(t.hour) from rollups t), (select min(t.hour) from ${fresh} t)) as hour),
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
    )`

/**
 * Denials of an hour beside the same hour of the week in the eight weeks before, or, where fewer than three of those
 * are in the log, the same hour of the day in the seven days before. The spread is 1.4826 times the median of the
 * deviations (MAD), and never less than a Poisson process of the median would have. Of a long window the 2,000 hours and
 * edges with the most denials are compared: a bound for what one question costs.
 */
const deniedSpikes = (create: string, more: string, most: string): string =>
  `${create} function writ_denied_spikes(
    since timestamptz, until timestamptz default now(), at_least bigint default 5, score_over double precision default 4${more}
  ) returns table (
    caller text, target text, hour timestamptz, denied bigint, decisions bigint, usual double precision,
    spread double precision, score double precision, baseline text, samples integer, shard integer, index bigint
  ) language sql stable as $$
    with refused as (
      select c.hour, c.caller, c.target, sum(c.decisions)::bigint as denied,
        (array_agg(c.shard order by c.last_at desc nulls last))[1] as shard,
        (array_agg(c.last_index order by c.last_at desc nulls last))[1] as index
      from writ_counted_hours(since - interval '56 days', until) c
      where c.verdict in ('deny', 'fault')
      group by 1, 2, 3
    ),
    ${judged(firstHour, 'writ_new_traffic')},
    found as (select j.* from judged j where j.score > score_over or j.score is null${most})
    select f.caller, f.target, f.hour, f.denied, t.decisions, f.usual, f.spread, f.score, f.baseline, f.samples, f.shard,
      f.index
    from found f
    cross join lateral (
      select sum(c.decisions)::bigint as decisions from writ_counted_hours(f.hour, f.hour + interval '1 hour') c
      where c.caller = f.caller and c.target = f.target
    ) t
    order by f.score desc nulls last, f.denied desc
  $$`

export const countedFunctions: readonly string[] = [
  // Days that lie in the window whole come as one sum each, under their midnight; the rest in whole hours.
  `create or replace function writ_counted(since timestamptz, until timestamptz, facing text default 'inbound')
  returns table (${countedColumns}) language sql stable as $$
    ${named(`${sums('rollup_days', 'day', `c.day >= ${firstDay} and c.day < ${lastDay}`)}
      union all
      ${sums('rollups', 'hour', `c.hour >= ${firstHour} and c.hour < least(${firstDay}, until)`)}
      union all
      ${sums('rollups', 'hour', `c.hour >= greatest(${firstDay}, ${lastDay}) and c.hour < until`)}
      union all
      ${sums('writ_new_traffic', 'hour', whole)}`)}
  $$`,
  `create function writ_counted_hours(since timestamptz, until timestamptz, facing text default 'inbound')
  returns table (${countedColumns}) language sql stable as $$
    ${named(`${sums('rollups', 'hour', whole)}
      union all
      ${sums('writ_new_traffic', 'hour', whole)}`)}
  $$`,
  deniedSpikes('create or replace', '', ''),
  // Who calls what for the first time that the log knows of: all of its calls are in the window.
  `create or replace function writ_first_seen_edges(since timestamptz, until timestamptz default now())
  returns table (
    caller text, target text, method text, first_at timestamptz, decisions bigint, refused bigint, shard integer,
    index bigint
  ) language sql stable as $$
    select c.caller, c.target, c.method, min(c.first_at), sum(c.decisions)::bigint,
      coalesce(sum(c.decisions) filter (where c.verdict <> 'allow'), 0)::bigint,
      (array_agg(c.shard order by c.first_at))[1], (array_agg(c.first_index order by c.first_at))[1]
    from writ_counted('-infinity', until) c
    group by 1, 2, 3
    having min(c.first_at) >= since and min(c.first_at) < until
    order by 4 desc
  $$`,
  // Jensen-Shannon divergence, in bits from 0 to 1, of what a caller asked for and what it asked for before. Both are
  // counted apart: the day that \`since\` lies in is no sum of either.
  `create or replace function writ_moved_callers(
    since timestamptz, until timestamptz default now(), before interval default '7 days', at_least bigint default 50,
    moved_over double precision default 0.1
  ) returns table (
    caller text, divergence double precision, decisions bigint, decisions_before bigint, target text, method text,
    share double precision, share_before double precision, last_at timestamptz, shard integer, index bigint
  ) language sql stable as $$
    with counted as (
      select c.*, true as is_now from writ_counted(since, until) c
      union all
      select c.*, false from writ_counted(since - before, date_trunc('hour', since, 'UTC')) c
    ),
    mixed as (
      select c.caller, c.target, c.method, coalesce(sum(c.decisions) filter (where c.is_now), 0) as now,
        coalesce(sum(c.decisions) filter (where not c.is_now), 0) as before, max(c.last_at) as last_at,
        (array_agg(c.shard order by c.last_at desc nulls last))[1] as shard,
        (array_agg(c.last_index order by c.last_at desc nulls last))[1] as index
      from counted c
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
  // Every certificate that was used, from each address, at its last call of each hour.
  `create or replace function writ_serials(since timestamptz, until timestamptz default now())
  returns table (
    caller text, serial text, source_address text, at timestamptz, shard integer, index bigint
  ) language sql stable as $$
    select n.name, p.serial, p.source_address, c.last_at, c.shard, c.last_index
    from (
      select r.shard, r.caller, r.peer, r.last_at, r.last_index from rollup_peers r
      where r.hour >= ${firstHour} and r.hour < until
      union all
      select r.shard, r.caller, r.peer, max(r.at), max(r.index)
      from writ_new_rows() r join shapes s on s.id = r.shape and s.kind = 'decision'
      where r.at >= ${firstHour} and r.at < until group by 1, 2, 3
    ) c join peers p on p.id = c.peer join names n on n.id = c.caller
    where p.serial <> '' and n.name <> ''
  $$`,
]

/** Of version 9: `at_most` rows, and the decisions of their hours are counted for those alone. */
export const fewerSpikes: readonly string[] = [
  'drop function writ_denied_spikes(timestamptz, timestamptz, bigint, double precision)',
  deniedSpikes(
    'create',
    ', at_most bigint default null',
    `
      order by j.score desc nulls last, j.denied desc limit at_most`,
  ),
]

const refusals = `('deny', 'fault')`
/** Of `shapes` s: what an inbound proxy decided and held to. */
const enforcedInbound = `s.kind = 'decision' and s.enforced is not false and s.direction = 'inbound'`
const someCaller = `coalesce(nullif(c.caller, nobody), 0)`

/**
 * Of version 10: the same answer, summed by the numbers of the dictionaries, and the weeks read in one pass. Names, the
 * record and all decisions of an hour are looked up for what is told alone. Planned anew each time: a plan that does not
 * know the times looks up each sum of those weeks by itself.
 */
export const spikesByNumber: readonly string[] = [
  `create or replace function writ_denied_spikes(
    since timestamptz, until timestamptz default now(), at_least bigint default 5, score_over double precision default 4,
    at_most bigint default null
  ) returns table (
    caller text, target text, hour timestamptz, denied bigint, decisions bigint, usual double precision,
    spread double precision, score double precision, baseline text, samples integer, shard integer, index bigint
  ) language plpgsql stable set plan_cache_mode = 'force_custom_plan' as $$
  #variable_conflict use_column
  declare
    first_hour timestamptz := date_trunc('hour', since, 'UTC');
    compared_from timestamptz := date_trunc('hour', since - interval '56 days', 'UTC');
    nobody integer := (select n.id from names n where n.name = '');
  begin
    return query
    with fresh as materialized (select t.* from writ_new_traffic t),
    refusing as (
      select s.id, min(s.id) over (partition by coalesce(s.target, '')) as target
      from shapes s where s.verdict in ${refusals} and ${enforcedInbound}
    ),
    refused as materialized (
      select c.hour, ${someCaller} as caller, s.target, sum(c.decisions)::bigint as denied
      from (
        select t.hour, t.shape, t.caller, t.decisions from rollups t where t.hour >= compared_from and t.hour < until
        union all
        select t.hour, t.shape, t.caller, t.decisions from fresh t where t.hour >= compared_from and t.hour < until
      ) c join refusing s on s.id = c.shape
      group by 1, 2, 3
    ),
    ${judged('first_hour', 'fresh')},
    found as materialized (
      select j.* from judged j where j.score > score_over or j.score is null
      order by j.score desc nulls last, j.denied desc limit at_most
    )
    select coalesce(n.name, ''), coalesce(o.target, ''), f.hour, f.denied, t.decisions, f.usual, f.spread, f.score,
      f.baseline, f.samples, t.shard, t.index
    from found f join shapes o on o.id = f.target left join names n on n.id = f.caller
    cross join lateral (
      select sum(c.decisions)::bigint as decisions,
        (array_agg(c.shard order by c.last_at desc nulls last) filter (where s.verdict in ${refusals}))[1] as shard,
        (array_agg(c.last_index order by c.last_at desc nulls last) filter (where s.verdict in ${refusals}))[1] as index
      from (
        select t.shape, t.caller, t.decisions, t.shard, t.last_at, t.last_index from rollups t where t.hour = f.hour
        union all
        select t.shape, t.caller, t.decisions, t.shard, t.last_at, t.last_index from fresh t where t.hour = f.hour
      ) c join shapes s on s.id = c.shape
      where ${someCaller} = f.caller and ${enforcedInbound} and coalesce(s.target, '') = coalesce(o.target, '')
    ) t
    order by f.score desc nulls last, f.denied desc;
  end $$`,
]
