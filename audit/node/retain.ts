/**
 * Retention: entries older than a time go, bundle by bundle from the beginning of a log. Their hashes stay for ever, and so
 * does what a hold covers and what the rest of the log is read by. That it happens is an entry first.
 */

import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { WritError } from '../../core/fault.ts'
import { partitionOf } from '../../core/log.ts'
import { type LogPrunedBody, parseEvent } from '../../core/record.ts'
import { pruner } from '../keep/hold.ts'
import { minimumFile, minimumIndex, newestCheckpoint } from '../log/prove.ts'
import { type CarriedEntry, carriedPath, encodeCarried, readBundle, tilePath, tileWidth } from '../log/tiles.ts'
import { dropEmptyDays } from '../store/days.ts'
import { and, asc, eq, gte, sql } from '../store/drizzle.ts'
import { type Db, epochs, records } from '../store/schema.ts'
import { rowsOf } from '../store/sql.ts'
import type { Archived } from './archive.ts'
import { archiveApart } from './archive-apart.ts'
import { archiveKeys } from './archive-keys.ts'
import { archivePlace } from './archive-place.ts'
import { makeFolder, syncFolder, writeWhole } from './durable.ts'
import { tileReader } from './folder.ts'
import type { S3Settings } from './objects/place.ts'
import { activeHolds, addOrder, placeOf } from './orders.ts'
import { packedPath } from './packed.ts'
import type { Store } from './store.ts'

export interface RetainParts {
  readonly store: Store
  readonly logDir: string
  readonly shard: number
  /** Entries from here on stay, whatever else holds. */
  readonly olderThan: string
  /** Archive that takes what goes, before it goes: a folder or s3://bucket/prefix. Default: none. */
  readonly archive?: string
  readonly s3?: S3Settings
  /** Ends archiving, before anything has gone. */
  readonly signal?: AbortSignal
  /** Entries that go at most in one run. Default: all that is due. */
  readonly most?: number
}

export interface RetainPlan {
  readonly shard: number
  /** Entries from `from` to before `before` go, but for `stay`. Equal where nothing goes. */
  readonly from: number
  readonly before: number
  readonly stay: number
  /** Entries that each hold keeps. */
  readonly holds: Readonly<Record<string, number>>
  readonly bytes: number
}

/** Puts what would go into the archive, and takes nothing away. */
export async function archiveDue(archive: string, parts: RetainParts): Promise<Archived> {
  const { store, logDir, shard, olderThan } = parts
  const size = (await newestCheckpoint(tileReader(join(logDir, String(shard)))))?.checkpoint.size ?? 0
  const before = await firstToStay(store, shard, size, olderThan)
  return putAway(before, { ...parts, archive })
}

/** First the entries, then under which keys their personal fields were sealed: a run that ended in between adds those. */
async function putAway(before: number, parts: RetainParts & { readonly archive: string }): Promise<Archived> {
  const { store, logDir, shard, archive, s3 } = parts
  const archived = await archiveApart(before, parts)
  const minimum = await minimumIndex(tileReader(join(logDir, String(shard))))
  await archiveKeys(archivePlace(archive, s3), store.db, shard, minimum, before)
  return archived
}

/** What would go; changes nothing. */
export async function planRetention(parts: RetainParts): Promise<RetainPlan> {
  return walk(parts, async () => undefined)
}

/**
 * Takes away what is due. The entry that says so is waited for, under a signed checkpoint, before the first file goes; a
 * crash in between is made good by the next run. Holds are asked for again, after that entry, so that none is overlooked.
 */
export async function runRetention(parts: RetainParts, waitMs: number = 30_000): Promise<RetainPlan> {
  const plan = await planRetention(parts)
  if (plan.before === plan.from) return plan
  await requireDelete(parts.store)
  const { store, logDir, shard, olderThan, archive } = parts
  const dir = join(logDir, String(shard))
  if (archive !== undefined) await putAway(plan.before, { ...parts, archive })
  const { before, stay, holds } = plan
  const body: LogPrunedBody = { kind: 'log', action: 'pruned', before, olderThan, stay, holds }
  await signed(await addOrder(store.db, partitionOf(shard), body), shard, parts, waitMs)
  // First what stays, then the minimum, then the files: at each moment the log is whole.
  const done = await walk(parts, async (index, carried) => {
    if (carried.length === 0) return
    const path = join(dir, carriedPath(index))
    await makeFolder(dirname(path))
    await writeWhole(path, encodeCarried(carried))
    await syncFolder(dirname(path))
  })
  await writeWhole(join(dir, minimumFile), `${before}\n`)
  await syncFolder(dir)
  for (let index = plan.from / tileWidth; index < before / tileWidth; index++) {
    await rm(join(dir, tilePath('entries', index)), { force: true })
    await rm(join(dir, packedPath(tilePath('entries', index))), { force: true })
  }
  await store.transaction((tx) => forget(tx, shard, before))
  // Where somebody reads them for long they go with the next run.
  await store.transaction((tx) => dropEmptyDays(tx, olderThan)).catch(() => undefined)
  return done
}

/** Asked before anything goes: rows without entries are what a verification would call broken. */
async function requireDelete({ db }: Store): Promise<void> {
  const [may] = await rowsOf<{ may: boolean }>(
    db.execute(sql`select has_table_privilege('rows', 'delete') and has_table_privilege('ends', 'delete') as may`),
  )
  if (may?.may) return
  throw new WritError('forbidden', "the store's user may add rows and not take them away: nothing went", {
    cure: "run `writ audit retain` as the tables' owner, by a timer of its own",
  })
}

async function signed(order: number, shard: number, { store, logDir }: RetainParts, waitMs: number): Promise<void> {
  for (let waited = 0; ; waited += 100) {
    const place = await placeOf(store.db, order)
    const newest = await newestCheckpoint(tileReader(join(logDir, String(shard))))
    if (place && (place.shard !== shard || (newest?.checkpoint.size ?? 0) > place.index)) return
    if (waited >= waitMs) {
      throw new WritError(
        'unavailable',
        'the auditor has not written the entry that says what is pruned: nothing went',
        {
          cure: 'let the auditor run, and try again',
        },
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

async function walk(
  { store, logDir, shard, olderThan, most = Number.MAX_SAFE_INTEGER }: RetainParts,
  each: (index: number, carried: readonly CarriedEntry[]) => Promise<void>,
): Promise<RetainPlan> {
  const read = tileReader(join(logDir, String(shard)))
  const from = await minimumIndex(read)
  const size = (await newestCheckpoint(read))?.checkpoint.size ?? 0
  const due = Math.min(await firstToStay(store, shard, size, olderThan), from + most - (most % tileWidth))
  const before = Math.max(from, due)
  const decide = pruner(await activeHolds(store.db))
  const ends = await endsOfEpochs(store, shard)
  const holds: Record<string, number> = {}
  let stay = 0
  let bytes = 0
  for (let index = from / tileWidth; index < before / tileWidth; index++) {
    const carried: CarriedEntry[] = []
    for (const [at, entry] of (await readBundle(read, index, size)).entries()) {
      const parsed = parseEvent(entry)
      const judged = 'event' in parsed ? decide(parsed.event) : { stays: true as const, holds: [] }
      const end = 'event' in parsed && ends.get(parsed.event.epoch)?.includes(parsed.event.seq)
      if (!judged.stays && !end) {
        bytes += entry.length
        continue
      }
      stay++
      carried.push({ at, bytes: entry })
      for (const name of judged.stays ? judged.holds : []) holds[name] = (holds[name] ?? 0) + 1
    }
    await each(index, carried)
  }
  return { shard, from, before, stay, holds, bytes }
}

/**
 * The last record of each epoch and the last head that attested it: where a store that is made again from the log goes on.
 */
async function endsOfEpochs({ db }: Store, shard: number): Promise<ReadonlyMap<string, readonly number[]>> {
  const rows = await db
    .select({ epoch: epochs.epoch, nextSeq: epochs.nextSeq, attestedSeq: epochs.attestedSeq })
    .from(epochs)
    .where(eq(epochs.shard, shard))
  return new Map(rows.map(({ epoch, nextSeq, attestedSeq }) => [epoch, [nextSeq - 1, attestedSeq]]))
}

/** The first bundle with anything that is not old enough, or that no checkpoint covers whole. */
async function firstToStay({ db }: Store, shard: number, size: number, olderThan: string): Promise<number> {
  const [young] = await db
    .select({ index: records.index })
    .from(records)
    .where(and(eq(records.shard, shard), gte(records.at, olderThan)))
    .orderBy(asc(records.index))
    .limit(1)
  const end = Math.min(young?.index ?? size, size)
  return Math.max(0, end - (end % tileWidth))
}

/**
 * Rows of what is gone. What the auditor goes on by stands elsewhere: epochs, gaps, and where certificates were announced.
 */
export async function forget(tx: Db, shard: number, before: number): Promise<void> {
  for (const table of ['rows', 'ends', 'others', 'disclosures']) {
    await tx.execute(sql`delete from ${sql.identifier(table)} where shard = ${shard} and index < ${before}`)
  }
  for (const table of ['chunks', 'batches', 'spans']) {
    await tx.execute(sql`delete from ${sql.identifier(table)} where shard = ${shard} and last < ${before}`)
  }
}
