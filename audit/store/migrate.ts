/** Makes the tables, and brings an older store up to date: statements in order, each set a version. */

import { WritError } from '../../core/fault.ts'
import { countedFunctions, fewerSpikes, spikesByNumber } from './counted.ts'
import { sql } from './drizzle.ts'
import { findingTables } from './finding-tables.ts'
import { questionFunctions } from './questions.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'
import { recordsWith, tables } from './tables.ts'
import { attempts, volume } from './volume.ts'

/** What turned a store of one version into the next. A set that was ever released is never edited. */
export const versions: readonly (readonly string[])[] = [
  [
    `create table leaves (
      shard integer not null,
      index bigint not null,
      hash bytea not null,
      bytes bytea not null,
      primary key (shard, index)
    )`,
    `create table records (
      shard integer not null,
      index bigint not null,
      kind text not null,
      producer text not null,
      epoch text not null,
      seq bigint not null,
      at timestamptz(6) not null,
      direction text,
      workload text,
      listener text,
      caller text,
      target text,
      service text,
      method text,
      path text,
      verdict text,
      code text,
      by text,
      enforced boolean,
      bundle text,
      revision text,
      policy_sha256 text,
      reasons text[],
      serial text,
      request_id text,
      trace_id text,
      source_address text,
      primary key (shard, index),
      constraint records_epoch_seq unique (epoch, seq)
    )`,
    `create index records_refused on records (at) where verdict in ('deny', 'fault')`,
    'create index records_at on records using brin (at)',
    // An epoch's certificates among its millions of records.
    `create index records_svid on records (epoch, seq) where kind in ('start', 'svid')`,
    `create table outcomes (
      epoch text not null,
      seq bigint not null,
      shard integer not null,
      index bigint not null,
      code text not null,
      status integer not null,
      request_bytes bigint not null,
      response_bytes bigint not null,
      duration_us bigint not null,
      upstream text not null,
      primary key (epoch, seq)
    )`,
    `create table epochs (
      epoch text primary key,
      producer text not null,
      shard integer not null,
      next_seq bigint not null,
      last_hash bytea not null,
      attested_seq bigint not null,
      final boolean not null,
      started_at timestamptz(6) not null,
      last_at timestamptz(6) not null
    )`,
    'create index epochs_producer on epochs (producer, started_at)',
    `create table gaps (
      epoch text not null,
      first bigint not null,
      last bigint not null,
      opened_index bigint not null,
      closed_index bigint,
      primary key (epoch, first)
    )`,
    'create index gaps_open on gaps (epoch, first) where closed_index is null',
    `create table offsets (
      shard integer primary key,
      next_offset text not null,
      owner text not null
    )`,
    `create table checkpoints (
      shard integer not null,
      size bigint not null,
      root bytea not null,
      note text not null,
      at timestamptz(6) not null,
      primary key (shard, size)
    )`,
  ],
  // Leaves are the truth: upgrade.ts makes everything again from them, and drops them then.
  ['alter table leaves rename to leaves_v1', 'drop table records', 'drop table outcomes', ...tables],
  [
    `create table saved_questions (
      name text primary key,
      asked text not null,
      saved_by text not null,
      saved_at timestamptz(6) not null
    )`,
    ...questionFunctions,
  ],
  [
    `create table logs (
      shard integer primary key,
      partition integer not null,
      opened_at timestamptz(6) not null
    )`,
    // What the auditor is to write into a log, in the order that it was asked for.
    `create table orders (
      id bigint generated always as identity primary key,
      partition integer not null,
      body text not null,
      shard integer,
      index bigint
    )`,
    `create table holds (
      name text primary key,
      body text not null,
      lifted boolean not null
    )`,
  ],
  findingTables,
  [
    // Not of the log: what opens the digests of a leaf, sealed, until its key is destroyed.
    `create table disclosures (
      shard integer not null,
      index bigint not null,
      epoch text not null,
      seq bigint not null,
      key_id text not null,
      sealed text,
      primary key (shard, index)
    )`,
    'create index disclosures_id on disclosures (epoch, seq)',
    'create index disclosures_key on disclosures (key_id)',
  ],
  [
    // A record whose fields are digests has a row, whether what opens them came or not: `key_id` is null where it did not.
    'alter table disclosures alter column key_id drop not null',
    // Names of those fields as a JSON array; null in a row of before, whose leaf tells them.
    'alter table disclosures add column fields text',
    // Keys that are destroyed, each with the record that says so.
    `create table erased_keys (
      key_id text primary key,
      shard integer not null,
      index bigint not null,
      epoch text not null,
      seq bigint not null
    )`,
    // How far both sides of calls were compared, of all shards together: `turn` is the fence between two who compare.
    `create table reconciled (
      one boolean primary key default true check (one),
      turn bigint not null,
      read_to text not null,
      state bytea
    )`,
    'create index orders_open on orders (partition, id) where index is null',
    // The epoch that an epoch's first record quotes, '' where it quotes none; null where that is not known.
    'alter table epochs add column previous text',
    `create index epochs_previous on epochs (previous) where previous <> ''`,
    'create index epochs_unended on epochs (last_at) where not final',
    // Epochs whose spool did not come back, and those of them that did later.
    `create table lost_spools (
      epoch text primary key,
      shard integer not null,
      next_epoch text not null,
      next_seq bigint not null,
      opened_index bigint not null,
      closed_index bigint
    )`,
  ],
  [...volume, ...countedFunctions],
  [
    // Reasons as the row itself has them: what has none is passed over before anything is joined to it.
    `create or replace view records as ${recordsWith(', r.reasons as reasons_given')}`,
    ...fewerSpikes,
  ],
  [...attempts, ...spikesByNumber],
]

/** The version that this program writes. */
export const storeVersion: number = versions.length

/** One of our own, so that two processes that start at once do not both create the tables. */
export const migrationLock: number = 0x77726974

/** Runs what is missing, all or nothing. A store of a newer version is refused. */
export async function migrate(db: Db): Promise<void> {
  if ((await versionOf(db)) === storeVersion) return // Who only writes rows may make no table.
  await db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${migrationLock})`)
    await tx.execute(sql`create table if not exists writ_schema (version integer primary key)`)
    const found = (await tx.execute(sql`select coalesce(max(version), 0)::integer as version from writ_schema`)) as {
      readonly rows: readonly { readonly version: number }[]
    }
    const version = found.rows[0]!.version
    if (version > storeVersion) throw newer(version)
    for (let next = version; next < versions.length; next++) {
      for (const statement of versions[next]!) await tx.execute(sql.raw(statement))
      await tx.execute(sql`insert into writ_schema (version) values (${next + 1})`)
    }
  })
}

async function versionOf(db: Db): Promise<number> {
  const [there] = await rowsOf<{ there: boolean }>(
    db.execute(sql`select to_regclass('writ_schema') is not null as there`),
  )
  if (!there?.there) return 0
  const [found] = await rowsOf<{ version: number }>(
    db.execute(sql`select coalesce(max(version), 0)::integer as version from writ_schema`),
  )
  return found!.version
}

const newer = (version: number): WritError =>
  new WritError('version', `the store is of version ${version}; this program reads up to ${storeVersion}`, {
    cure: 'run the release of writ that upgraded the store, or a later one',
  })
