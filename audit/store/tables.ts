/**
 * Version 2 of the store: what repeats stands once, in dictionaries; rows are narrow and append-only, in a partition for
 * each day; leaves are kept together, compressed, until the log folder has them for good.
 */

/** A dictionary has each of its entries once, by the SHA-256 of their JSON. Ids begin at 1. */
const dictionary = (name: string, columns: string): string => `create table ${name} (
    id integer generated always as identity primary key,
    key bytea not null unique,
    ${columns}
  )`

/** Days without a partition of their own go to the one that ends in `_other`: times are what producers say they are. */
const byDay = (name: string, columns: string): readonly string[] => [
  `create table ${name} (${columns}) partition by range (at)`,
  `create table ${name}_other partition of ${name} default`,
]

/** Makes the partitions of yesterday, today and the days ahead. Days whose rows are elsewhere already stay there. */
const partitionsAhead = `create function writ_partitions(ahead integer) returns void
  language plpgsql security definer set search_path from current set lock_timeout = '3s' as $$
  declare
    today date := (now() at time zone 'utc')::date;
    kind text;
    name text;
  begin
    for day in -1 .. ahead loop
      foreach kind in array array['rows', 'ends'] loop
        name := kind || '_' || to_char(today + day, 'YYYYMMDD');
        continue when to_regclass(name) is not null;
        begin
          execute format('create table %I partition of %I for values from (%L) to (%L)', name, kind,
            (today + day) || ' 00:00:00+00', (today + day + 1) || ' 00:00:00+00');
        exception when check_violation or duplicate_table or unique_violation or invalid_object_definition then null;
        end;
      end loop;
    end loop;
  end $$`

/** Has the block indexes take in what came since: until then a search reads those blocks. */
const summarise = `create function writ_summarise() returns integer
  language plpgsql security definer set search_path from current as $$
  declare
    found record;
    blocks integer := 0;
  begin
    for found in
      select i.indexrelid as index from pg_index i
        join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
        join pg_inherits h on h.inhrelid = i.indrelid
      where a.amname = 'brin' and h.inhparent in ('rows'::regclass, 'ends'::regclass)
    loop
      blocks := blocks + brin_summarize_new_values(found.index);
    end loop;
    return blocks;
  end $$`

/** Text of an id that is kept as bytes: 0 a UUID, 1 hex, 2 any other text. */
export const idText = (column: string): string => `case get_byte(${column}, 0)
    when 0 then encode(substr(${column}, 2), 'hex')::uuid::text
    when 1 then encode(substr(${column}, 2), 'hex')
    else convert_from(substr(${column}, 2), 'UTF8') end`

/** What the view `records` is, with columns behind those that it had at first. */
export const recordsWith = (more: string): string => `
    select r.shard, r.index, s.kind, u.producer, u.epoch, r.seq, r.at, s.direction, s.workload, s.listener,
      c.name as caller, s.target, s.service, s.method, r.path, s.verdict, s.code, s.by, s.enforced, s.bundle,
      s.revision, s.policy_sha256,
      case when r.reasons is not null then r.reasons when s.reasoned then '{}'::text[] end as reasons,
      p.serial, ${idText('r.request')} as request_id, ${idText('r.trace')} as trace_id, p.source_address,
      r.run as run_id, r.shape as shape_id, r.caller as caller_id, r.peer as peer_id, r.request as request_key,
      r.trace as trace_key${more}
    from rows r left join runs u on u.id = r.run left join shapes s on s.id = r.shape
      left join names c on c.id = r.caller left join peers p on p.id = r.peer`

export const tables: readonly string[] = [
  dictionary('runs', 'epoch text not null, producer text not null'),
  'create index runs_epoch on runs (epoch)',
  dictionary('names', 'name text not null'),
  'create index names_name on names (name)',
  dictionary(
    'shapes',
    `kind text not null, direction text, workload text, listener text, target text, service text, method text,
    verdict text, code text, by text, enforced boolean, bundle text, revision text, policy_sha256 text,
    reasoned boolean not null`,
  ),
  dictionary('peers', 'serial text, source_address text'),

  // Leaves of one transaction together, each after its length in two bytes, compressed. A buffer: the log folder keeps them.
  `create table chunks (
    shard integer not null,
    first bigint not null,
    last bigint not null,
    bytes bytea not null,
    primary key (shard, first)
  )`,
  'alter table chunks alter column bytes set storage external',
  // One row for each transaction: which leaves it brought, and between which times.
  `create table batches (
    shard integer not null,
    first bigint not null,
    last bigint not null,
    first_at timestamptz(6) not null,
    last_at timestamptz(6) not null,
    primary key (shard, first)
  )`,
  // Where the records of a run are: numbers without a hole that one transaction brought. No two rows of a run overlap.
  `create table spans (
    run integer not null,
    first_seq bigint not null,
    last_seq bigint not null,
    shard integer not null,
    first bigint not null,
    last bigint not null,
    first_at timestamptz(6) not null,
    last_at timestamptz(6) not null,
    primary key (run, first_seq)
  )`,
  // Records that announce certificates, which the auditor needs again.
  `create table announced (
    epoch text not null,
    seq bigint not null,
    shard integer not null,
    index bigint not null,
    primary key (epoch, seq)
  )`,
  ...byDay(
    'rows',
    `at timestamptz(6) not null, index bigint not null, seq bigint not null, shard integer not null,
    run integer not null, shape integer not null, caller integer, peer integer, request bytea, trace bytea, path text,
    reasons text[]`,
  ),
  'create index rows_index on rows using brin (index int8_minmax_multi_ops) with (pages_per_range = 32)',
  'create index rows_at on rows using brin (at) with (pages_per_range = 32)',
  `create index rows_request on rows using brin (request bytea_bloom_ops(n_distinct_per_range = 1000))
    with (pages_per_range = 16)`,
  `create index rows_trace on rows using brin (trace bytea_bloom_ops(n_distinct_per_range = 1000))
    with (pages_per_range = 16)`,
  // How decisions ended: the outcomes of one leaf whose numbers share all but their last eight bits.
  ...byDay(
    'ends',
    `at timestamptz(6) not null, index bigint not null, bucket bigint not null, shard integer not null,
    run integer not null, seqs smallint[] not null, codes integer[] not null, statuses smallint[] not null,
    requests bigint[] not null, responses bigint[] not null, durations bigint[] not null, upstreams integer[] not null`,
  ),
  'create index ends_bucket on ends (run, bucket)',
  'create index ends_index on ends using brin (index int8_minmax_multi_ops) with (pages_per_range = 32)',
  'create index ends_at on ends using brin (at) with (pages_per_range = 32)',

  // Sums by the hour, of leaves below `rolled.below`.
  `create table rollups (
    shard integer not null,
    hour timestamptz not null,
    shape integer not null,
    caller integer not null,
    decisions bigint not null,
    first_index bigint,
    last_index bigint,
    first_at timestamptz(6),
    last_at timestamptz(6),
    outcomes bigint not null,
    errors bigint not null,
    duration_us_sum bigint not null,
    primary key (shard, hour, shape, caller)
  )`,
  'create table rolled (shard integer primary key, below bigint not null)',

  `create view records as ${recordsWith('')}`,
  `create view outcomes as
    select u.epoch, e.bucket * 256 + o.seq as seq, e.shard, e.index, c.name as code, o.status::integer as status,
      o.request_bytes, o.response_bytes, o.duration_us, n.name as upstream, e.run as run_id, e.bucket as bucket
    from ends e left join runs u on u.id = e.run
      cross join lateral unnest(e.seqs, e.codes, e.statuses, e.requests, e.responses, e.durations, e.upstreams)
        as o (seq, code, status, request_bytes, response_bytes, duration_us, upstream)
      left join names c on c.id = o.code left join names n on n.id = o.upstream`,
  // Sums by the hour; what is not in `rollups` yet is counted from rows, its ends only once it is. To be summed again:
  // an hour's decisions of one kind may stand in two rows.
  `create view traffic as
    select t.shard, t.hour, s.direction, c.name as caller, s.target, s.service, s.method, s.verdict, s.code, s.by,
      s.enforced, s.bundle, s.revision, s.policy_sha256, t.decisions, t.first_index, t.last_index, t.first_at,
      t.last_at, t.outcomes, t.errors, t.duration_us_sum, t.shape as shape_id, nullif(t.caller, 0) as caller_id
    from (
      select shard, hour, shape, caller, decisions, first_index, last_index, first_at, last_at, outcomes, errors,
        duration_us_sum
      from rollups
      union all
      select w.shard, r.hour, r.shape, r.caller, r.decisions, r.first_index, r.last_index, r.first_at, r.last_at,
        0, 0, 0
      from rolled w cross join lateral (
        select date_trunc('hour', r.at, 'UTC') as hour, r.shape, coalesce(r.caller, 0) as caller, count(*) as decisions,
          min(r.index) as first_index, max(r.index) as last_index, min(r.at) as first_at, max(r.at) as last_at
        from rows r where r.shard = w.shard and r.index >= w.below group by 1, 2, 3
      ) r
    ) t join shapes s on s.id = t.shape and s.kind = 'decision' left join names c on c.id = t.caller`,
  partitionsAhead,
  summarise,
]
