/** Makes the tables, and brings an older store up to date: statements in order, each set a version. */

import { sql } from 'drizzle-orm'
import { WritError } from '../../core/fault.ts'
import type { Db } from './schema.ts'

/** What turned a store of one version into the next. A set that was ever released is never edited. */
const versions: readonly (readonly string[])[] = [
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
]

/** The version that this program writes. */
export const storeVersion: number = versions.length

/** One of our own, so that two processes that start at once do not both create the tables. */
const migrationLock = 0x77726974

/** Runs what is missing, all or nothing. A store of a newer version is refused. */
export async function migrate(db: Db): Promise<void> {
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

const newer = (version: number): WritError =>
  new WritError('version', `the store is of version ${version}; this program reads up to ${storeVersion}`, {
    cure: 'run the release of writ that upgraded the store, or a later one',
  })
