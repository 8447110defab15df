/**
 * Disclosures read out of a store, for a backup or an archive, and put into one that was made again from its log. Where
 * a key is known and not what it sealed, `sealed` is empty: withheld, and erased once the log says so of the key.
 */

import { fromUtf8 } from '../../core/bytes.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { parseEpoch } from '../../core/record.ts'
import type { ArrivedRecord } from './arrival.ts'
import { keyShape, maxSealed, readBeside } from './disclosures.ts'
import { sql } from './drizzle.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'

/** What came beside a record. */
export interface RecordDisclosure {
  readonly epoch: string
  readonly seq: number
  /** Name of the key. */
  readonly key: string
  /** Base64url; empty where only the key is known, null where the key was destroyed. */
  readonly sealed: string | null
}

/** Of `width` indexes from `first` on: what would have changed if a copy of them is not the same any more. */
export interface DisclosureCounts {
  readonly first: number
  readonly rows: number
  readonly open: number
  readonly erased: number
}

/** Stretches of a shard before index `size` that have any. */
export async function countDisclosures(
  db: Db,
  shard: number,
  size: number,
  width: number,
): Promise<readonly DisclosureCounts[]> {
  const rows = await rowsOf<Record<keyof DisclosureCounts, string>>(
    db.execute(sql`select index / ${sql.raw(String(width))} * ${sql.raw(String(width))} as first, count(*) as rows,
        count(*) filter (where sealed <> '') as open, count(*) filter (where sealed is null) as erased
      from disclosures where shard = ${shard} and index < ${size} and key_id is not null group by 1 order by 1`),
  )
  return rows.map(({ first, rows, open, erased }) => ({
    ...{ first: Number(first), rows: Number(rows) },
    ...{ open: Number(open), erased: Number(erased) },
  }))
}

/** Those of a shard from index `first` to before `before`, in order. */
export async function disclosuresBetween(
  db: Db,
  shard: number,
  first: number,
  before: number,
): Promise<readonly RecordDisclosure[]> {
  const rows = await rowsOf<{ epoch: string; seq: string; key: string; sealed: string | null }>(
    db.execute(sql`select epoch, seq, key_id as key, sealed from disclosures
      where shard = ${shard} and index >= ${first} and index < ${before} and key_id is not null order by index`),
  )
  return rows.map(({ epoch, seq, key, sealed }) => ({ epoch, seq: Number(seq), key, sealed }))
}

/**
 * Puts back what records of the store lack. Those that have one keep it, and records without digests have none: what a
 * copy says beyond that is left out. Nothing comes back of a key that the log says is destroyed.
 */
export async function putBackDisclosures(tx: Db, all: readonly RecordDisclosure[]): Promise<void> {
  for (let from = 0; from < all.length; from += rowsAtOnce) {
    await tx.execute(sql`update disclosures d set key_id = r.key, sealed = case when e.key_id is null then r.sealed end
      from json_to_recordset(${JSON.stringify(all.slice(from, from + rowsAtOnce))}::json)
        as r(epoch text, seq bigint, key text, sealed text) left join erased_keys e on e.key_id = r.key
      where d.epoch = r.epoch and d.seq = r.seq and (d.key_id is null or (d.key_id = r.key and d.sealed = ''))`)
  }
}

const rowsAtOnce = 512

/** What came again beside records that the log has. */
export const broughtAgain = (repeated: readonly ArrivedRecord[]): readonly RecordDisclosure[] =>
  repeated.flatMap(({ event: { epoch, seq }, beside }) => {
    const read = beside && readBeside(beside)
    return read ? [{ epoch, seq, ...read }] : []
  })

/** One a line, as JSON. */
export const formatDisclosures = (all: readonly RecordDisclosure[]): string =>
  all.map((one) => `${JSON.stringify(one)}\n`).join('')

/** Undefined where a line is none, or the bytes are no text. */
export function parseDisclosures(bytes: Uint8Array): readonly RecordDisclosure[] | undefined {
  let text: string
  try {
    text = fromUtf8(bytes)
  } catch {
    return undefined
  }
  const all: RecordDisclosure[] = []
  for (const line of text.split('\n').slice(0, -1)) {
    const read = parseDisclosure(line)
    if (!read) return undefined
    all.push(read)
  }
  return text === '' || text.endsWith('\n') ? all : undefined
}

function parseDisclosure(line: string): RecordDisclosure | undefined {
  const value = parseJson(line)
  if (!isObject(value)) return undefined
  const { epoch, seq, key, sealed } = value
  if (typeof epoch !== 'string' || !parseEpoch(epoch)) return undefined
  if (!Number.isSafeInteger(seq) || (seq as number) < 0) return undefined
  if (typeof key !== 'string' || !keyShape.test(key)) return undefined
  if (
    sealed !== null &&
    (typeof sealed !== 'string' || sealed.length > maxSealed || !/^[A-Za-z0-9_-]*$/.test(sealed))
  ) {
    return undefined
  }
  return { epoch, seq: seq as number, key, sealed }
}
