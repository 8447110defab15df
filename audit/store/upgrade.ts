/**
 * What an older store needs beside new tables, in steps: one that was interrupted goes on where it ended. A store of
 * version 1 is made anew from its leaves; one before version 8 has its rows looked through once.
 */

import { toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { parseEvent } from '../../core/record.ts'
import type { ArrivedRecord } from './arrival.ts'
import { sql } from './drizzle.ts'
import { peersOf } from './fold.ts'
import { insertEntries, type Memory, newMemory, prepareEntries } from './ledger.ts'
import { migrationLock } from './migrate.ts'
import { recallShard } from './recall.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'
import { usualKinds } from './volume.ts'

/** What upgrading needs of a store. */
export interface UpgradedStore {
  readonly db: Db
  transaction<T>(work: (tx: Db) => Promise<T>): Promise<T>
}

/** Leaves in a step; at most 32 MiB of them. */
const step = 512

export async function upgrade(store: UpgradedStore): Promise<void> {
  await remake(store)
  while (await file(store));
}

/** Leaves that are looked through at once. */
const filedAtOnce = 100_000

/** Places of seldom records and sums of certificates, of one step; false where all are there, or are somebody else's task. */
async function file(store: UpgradedStore): Promise<boolean> {
  if (!(await mayFile(store.db))) return false
  return store.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${migrationLock})`)
    if (!(await mayFile(tx))) return false // Another has finished.
    const [at] = await rowsOf<{ shard: number; next: string; below: string; size: string }>(
      tx.execute(sql`select * from unfiled where next < size limit 1`),
    )
    if (!at) {
      await tx.execute(sql`drop table unfiled`)
      return false
    }
    const from = Number(at.next)
    const to = Math.min(from + filedAtOnce, Number(at.size))
    const [times] = await rowsOf<{ first: string | null; last: string }>(
      tx.execute(sql`select min(first_at)::text as first, max(last_at)::text as last from batches
        where shard = ${at.shard} and first < ${to} and last >= ${from}`),
    )
    if (times?.first) {
      const { first, last } = times
      await tx.execute(sql`insert into others select r.shard, s.kind, r.index, r.at from rows r join shapes s on s.id = r.shape
        where r.shard = ${at.shard} and r.index >= ${from} and r.index < ${to} and r.at between ${first} and ${last}
          and s.kind <> all (${`{${usualKinds.join(',')}}`}::text[]) on conflict do nothing`)
      await tx.execute(peersOf(at.shard, { from, to: Math.min(to, Number(at.below)) }, { first, last }))
    }
    await tx.execute(sql`update unfiled set next = ${to} where shard = ${at.shard}`)
    return true
  })
}

/** Who may only read or write rows leaves it to the owner of the tables. */
async function mayFile(db: Db): Promise<boolean> {
  const [row] = await rowsOf<{ may: boolean }>(
    db.execute(sql`select exists (select 1 from pg_class where oid = to_regclass('unfiled')
      and pg_has_role(relowner, 'usage')) as may`),
  )
  return row?.may === true
}

async function remake(store: UpgradedStore): Promise<void> {
  if (!(await isOld(store.db))) return
  const shards = await rowsOf<{ shard: number }>(store.db.execute(sql`select distinct shard from leaves_v1`))
  for (const { shard } of shards) {
    for (let memory = newMemory(); await fill(store, shard, memory); );
  }
  await store.db.execute(sql`drop table if exists leaves_v1`)
}

async function isOld(db: Db): Promise<boolean> {
  const [row] = await rowsOf<{ old: boolean }>(db.execute(sql`select to_regclass('leaves_v1') is not null as old`))
  return row?.old === true
}

/** A step of one shard; false where it is done. Of two processes that start at once each does every other one. */
async function fill(store: UpgradedStore, shard: number, memory: Memory): Promise<boolean> {
  return store.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${migrationLock})`)
    if (!(await isOld(tx))) return false // The other has finished.
    const { size } = await recallShard(tx, shard)
    const rows = await rowsOf<{ index: string; hash: Uint8Array; bytes: Uint8Array }>(
      tx.execute(sql`select index, hash, bytes from leaves_v1 where shard = ${shard} and index >= ${size}
        order by index limit ${step}`),
    )
    if (rows.length === 0) return false
    const entries = rows.map((row, i) => entryOf(shard, size + i, Number(row.index), row))
    for (const { event } of entries) memory.told.begin(event.epoch, 0)
    await insertEntries(tx, await prepareEntries(tx, shard, size, entries, memory))
    return true
  })
}

function entryOf(
  shard: number,
  expected: number,
  index: number,
  row: { readonly hash: Uint8Array; readonly bytes: Uint8Array },
): ArrivedRecord {
  const bytes = new Uint8Array(row.bytes)
  const hash = new Uint8Array(row.hash)
  const parsed = parseEvent(bytes)
  if (index !== expected || 'wrong' in parsed) {
    throw new WritError(
      'log_invalid',
      `leaf ${expected} of shard ${shard} is missing from the store or was changed in it`,
      {
        cure: 'restore the table `leaves_v1` from a copy, then start again',
      },
    )
  }
  return { event: parsed.event, bytes, hash, hashHex: toHex(hash) }
}
