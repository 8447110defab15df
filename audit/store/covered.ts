/** Entries in their order as far as checkpoints cover them, of any shard: from chunks, else from the log folder. */

import { tileWidth } from '../log/tiles.ts'
import { sql } from './drizzle.ts'
import { chunkOver, filedLeaves } from './leaves.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'

/** Shards, and how many entries of each a published checkpoint covers. */
export async function coveredSizes(db: Db): Promise<readonly { readonly shard: number; readonly size: number }[]> {
  const rows = await rowsOf<{ shard: number; size: string }>(
    db.execute(sql`select o.shard, coalesce((select max(c.size) from checkpoints c where c.shard = o.shard), 0) as size
      from offsets o order by o.shard`),
  )
  return rows.map(({ shard, size }) => ({ shard: Number(shard), size: Number(size) }))
}

export interface Stretch {
  /** More than what was asked for where the entries before are nowhere that this process can read. */
  readonly first: number
  readonly leaves: readonly Uint8Array[]
}

/** The next entries of a shard from `from` on, below `size`: as many as lie together. */
export async function stretchFrom(db: Db, shard: number, from: number, size: number): Promise<Stretch> {
  const chunk = await chunkOver(db, shard, from, size - 1)
  const held = chunk && chunk.leaves.length > 0 ? chunk : undefined
  if (held && held.first <= from) {
    return { first: from, leaves: held.leaves.slice(from - held.first, size - held.first) }
  }
  // What the buffer no longer has, a bundle at a time.
  const to = Math.min((Math.floor(from / tileWidth) + 1) * tileWidth, held?.first ?? size, size)
  const filed = await filedLeaves(db, shard, from, to - 1)
  const leaves: Uint8Array[] = []
  for (let index = from; index < to && filed.has(index); index++) leaves.push(filed.get(index)!)
  if (leaves.length > 0) return { first: from, leaves }
  return { first: Math.max(from + 1, Math.min(held?.first ?? (chunk ? chunk.last + 1 : size), size)), leaves: [] }
}

/** The latest time, in milliseconds, of entries from `from` on and below `to`; 0 where the store has none. */
export async function latestTimeIn(db: Db, shard: number, from: number, to: number): Promise<number> {
  const [row] = await rowsOf<{ ms: string | null }>(
    db.execute(sql`select ceil(extract(epoch from max(last_at)) * 1000) as ms from batches
      where shard = ${shard} and first < ${to} and last >= ${from}`),
  )
  return Number(row?.ms ?? 0)
}
