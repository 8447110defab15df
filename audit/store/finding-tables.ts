/** Tables of what the log tells by itself. All but acknowledgements, which are entries too, can be made again from it. */

/** Times are milliseconds, hours and days since 1970. */
export const findingTables: readonly string[] = [
  `create table edges_first_seen (
    caller text not null,
    target text not null,
    operation text not null,
    first_ms bigint not null,
    last_ms bigint not null,
    count bigint not null,
    first_id text not null,
    unused_told_ms bigint,
    primary key (caller, target, operation)
  )`,
  'create index edges_first_seen_last on edges_first_seen (last_ms)',
  `create table finding_hours (
    caller text not null,
    hour bigint not null,
    allowed bigint not null,
    denied bigint not null,
    primary key (caller, hour)
  )`,
  'create index finding_hours_hour on finding_hours (hour)',
  `create table finding_mix (
    caller text not null,
    day bigint not null,
    target text not null,
    operation text not null,
    count bigint not null,
    primary key (caller, day, target, operation)
  )`,
  'create index finding_mix_day on finding_mix (day)',
  `create table finding_cursors (
    shard integer primary key,
    next_index bigint not null
  )`,
  // A finding waits without id until its entry is written; then both are of one transaction.
  `create table findings (
    key text primary key,
    shard integer not null,
    number bigint generated always as identity,
    found_ms bigint not null,
    body text not null,
    id text unique,
    acknowledged_by text,
    acknowledged_actor text,
    acknowledged_note text,
    acknowledged_ms bigint,
    acknowledged_id text
  )`,
  'create index findings_waiting on findings (shard, number) where id is null',
  'create unique index findings_number on findings (number)',
  'create index findings_found on findings (found_ms)',
  `create table finding_deliveries (
    sink text not null,
    number bigint not null,
    attempts integer not null,
    primary key (sink, number)
  )`,
  `create table finding_counts (
    name text primary key,
    count bigint not null
  )`,
]
