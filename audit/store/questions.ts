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
