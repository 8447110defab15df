/** What the auditor writes, as SQL that PostgreSQL and PGlite take alike. Rows go in by COPY, the rest as JSON. */

import { toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { logStride } from '../../core/log.ts'
import type { Admitted } from './admit.ts'
import type { ArrivedRecord } from './arrival.ts'
import { chunksOf } from './chunk.ts'
import { Dictionaries } from './dictionary.ts'
import { insertDisclosures, type PreparedDisclosures, prepareDisclosures } from './disclosures.ts'
import { sql } from './drizzle.ts'
import {
  bucketSize,
  type Extract,
  endColumns,
  endLines,
  extract,
  otherColumns,
  otherLines,
  rowColumns,
  rowLines,
  spanColumns,
  spanLines,
  timesOf,
} from './rows.ts'
import { type Db, type EpochRow, type GapRow, meansOf } from './schema.ts'
import { rowsOf } from './sql.ts'
import { Told } from './told.ts'

/** PostgreSQL's text form of bytea. */
const bytea = (bytes: Uint8Array): string => `\\x${toHex(bytes)}`

/**
 * Moves the shard's offset from `from` to `next`, or throws `fenced` where somebody else has moved it. It comes first in
 * the transaction: the row stays locked until the end, so of two owners one waits and then finds it moved.
 */
export async function moveOffset(
  tx: Db,
  shard: number,
  from: string | undefined,
  next: string,
  owner: string,
): Promise<void> {
  const moved = await rowsOf(
    tx.execute(
      from === undefined
        ? sql`insert into offsets (shard, next_offset, owner) values (${shard}, ${next}, ${owner})
            on conflict do nothing returning shard`
        : sql`update offsets set next_offset = ${next}, owner = ${owner}
            where shard = ${shard} and next_offset = ${from} returning shard`,
    ),
  )
  if (moved.length !== 1) throw fenced(shard)
}

export const fenced = (shard: number): WritError =>
  new WritError('fenced', `another auditor has taken partition ${shard}`, {
    cure: 'nothing was written; ask for the next offset again before going on',
  })

/** What a batch is made into before its transaction begins. */
export interface Prepared {
  readonly shard: number
  readonly first: number
  readonly count: number
  readonly chunks: readonly { readonly first: number; readonly last: number; readonly bytes: Uint8Array }[]
  readonly rows: string
  readonly ends: string
  readonly spans: string
  readonly announced: string
  readonly others: string
  readonly times: ReturnType<typeof timesOf>
  readonly disclosures: PreparedDisclosures
}

/** Whatever outlives a batch: numbers of the dictionaries, and which ends were told. */
export interface Memory {
  readonly words: Dictionaries
  readonly told: Told
}

export const newMemory = (): Memory => ({ words: new Dictionaries(), told: new Told() })

/**
 * Everything that needs no transaction, from index `size` on. `told` has to know of each epoch from where nothing can have
 * been told; it is wrong once the batch is not written.
 */
export async function prepareEntries(
  db: Db,
  shard: number,
  size: number,
  entries: readonly ArrivedRecord[],
  { words, told }: Memory,
): Promise<Prepared | undefined> {
  if (entries.length === 0) return undefined
  const { compress } = meansOf(db)
  let at = size
  const chunks = [...chunksOf(entries)].map(async ({ count, bytes }) => {
    const first = at
    at += count
    return { first, last: at - 1, bytes: await compress(bytes) }
  })
  const extracts = extract(entries, size, words)
  await words.learn(db)
  const stored = await recallTold(db, extracts, told, words)
  const fresh = ({ epoch, seq }: { readonly epoch: string; readonly seq: number }): boolean => {
    const id = `${epoch}-${seq}`
    if (told.has(epoch, seq) ?? stored.has(id)) return false
    told.add(epoch, seq)
    stored.add(id)
    return true
  }
  return {
    ...{ shard, first: size, count: entries.length },
    chunks: await Promise.all(chunks),
    rows: rowLines(shard, extracts, words),
    ends: endLines(shard, extracts, words, fresh),
    spans: spanLines(shard, extracts, words),
    announced: announcedLines(
      shard,
      extracts.map(({ index, row }) => ({ index, event: row })),
    ),
    others: otherLines(shard, extracts),
    times: timesOf(extracts),
    disclosures: prepareDisclosures(size, entries),
  }
}

/** Where certificates were announced, as lines for COPY. */
export const announcedLines = (
  shard: number,
  entries: readonly {
    readonly index: number
    readonly event: { readonly kind: string; readonly epoch: string; readonly seq: number }
  }[],
): string =>
  entries
    .filter(({ event }) => event.kind === 'start' || event.kind === 'svid')
    .map(({ index, event }) => `${event.epoch}\t${event.seq}\t${shard}\t${index}\n`)
    .join('')

/** Of the outcomes that `told` cannot judge, those that the store has, and room for more. */
async function recallTold(db: Db, extracts: readonly Extract[], told: Told, words: Dictionaries): Promise<Set<string>> {
  const wanted = new Map<string, { readonly run: number; readonly bucket: number }>()
  const epochs = new Map<number, string>()
  for (const { ends } of extracts) {
    for (const { epoch, seq } of ends) {
      if (told.has(epoch, seq) !== undefined) continue
      const [run, bucket] = [words.runs.id(epoch), Math.floor(seq / bucketSize)]
      wanted.set(`${run} ${bucket}`, { run, bucket })
      epochs.set(run, epoch)
    }
  }
  if (wanted.size === 0) return new Set()
  const rows = await rowsOf<{ run: number; seq: string }>(
    db.execute(sql`select e.run, e.bucket * ${sql.raw(String(bucketSize))} + unnest(e.seqs) as seq
      from json_to_recordset(${JSON.stringify([...wanted.values()])}::json) as w(run integer, bucket bigint)
      join ends e on e.run = w.run and e.bucket = w.bucket`),
  )
  return new Set(rows.map(({ run, seq }) => `${epochs.get(Number(run))}-${seq}`))
}

/** Leaves, the rows made from them, and what came beside them. */
export async function insertEntries(tx: Db, prepared: Prepared | undefined): Promise<void> {
  if (!prepared) return
  const { copyIn } = meansOf(tx)
  const { shard, first, count, times, chunks } = prepared
  // First of all, so that of two auditors at one index the second fails before it has written much.
  await tx.execute(sql`insert into batches (shard, first, last, first_at, last_at)
    values (${shard}, ${first}, ${first + count - 1}, ${times.firstAt}, ${times.lastAt})`)
  if (first === 0) await tx.execute(sql`insert into rolled (shard, below) values (${shard}, 0) on conflict do nothing`)
  for (const chunk of chunks) {
    await tx.execute(sql`insert into chunks (shard, first, last, bytes)
      values (${shard}, ${chunk.first}, ${chunk.last}, ${chunk.bytes})`)
  }
  await copyIn('rows', rowColumns, prepared.rows)
  await copyIn('spans', spanColumns, prepared.spans)
  if (prepared.ends !== '') await copyIn('ends', endColumns, prepared.ends)
  await insertAnnounced(tx, prepared.announced)
  await insertDisclosures(tx, shard, prepared.disclosures)
  if (prepared.others !== '') await copyIn('others', otherColumns, prepared.others)
}

export async function insertAnnounced(tx: Db, lines: string): Promise<void> {
  if (lines !== '') await meansOf(tx).copyIn('announced', ['epoch', 'seq', 'shard', 'index'], lines)
}

/** An epoch is pinned to its partition: where two partitions meet it first at the same time, the second has to look again. */
export async function upsertEpochs(tx: Db, rows: readonly EpochRow[]): Promise<void> {
  if (rows.length === 0) return
  const given = rows.map((row) => ({ ...row, lastHash: bytea(row.lastHash) }))
  const kept = await rowsOf(
    tx.execute(sql`insert into epochs (epoch, producer, shard, next_seq, last_hash, attested_seq, final, started_at,
        last_at, previous)
      select * from json_to_recordset(${JSON.stringify(given)}::json)
        as r(epoch text, producer text, shard integer, "nextSeq" bigint, "lastHash" bytea, "attestedSeq" bigint,
        final boolean, "startedAt" timestamptz, "lastAt" timestamptz, previous text)
      on conflict (epoch) do update set next_seq = excluded.next_seq, last_hash = excluded.last_hash,
        attested_seq = excluded.attested_seq, final = excluded.final, last_at = excluded.last_at, shard = excluded.shard,
        previous = excluded.previous
        where epochs.shard % ${logStride} = excluded.shard % ${logStride} and epochs.producer = excluded.producer
      returning epoch`),
  )
  if (kept.length === rows.length) return
  throw new WritError(
    'store_unavailable',
    'another shard met one of these epochs at the same time; nothing was written',
  )
}

export async function writeGaps(tx: Db, { gone, rows }: Admitted['gaps']): Promise<void> {
  if (gone.length > 0) {
    await tx.execute(sql`delete from gaps using json_to_recordset(${JSON.stringify(gone)}::json)
        as r(epoch text, first bigint) where gaps.epoch = r.epoch and gaps.first = r.first`)
  }
  if (rows.length === 0) return
  await tx.execute(sql`insert into gaps (epoch, first, last, opened_index, closed_index)
    select * from json_to_recordset(${JSON.stringify(rows satisfies readonly GapRow[])}::json)
      as r(epoch text, first bigint, last bigint, "openedIndex" bigint, "closedIndex" bigint)`)
}
