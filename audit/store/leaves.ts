/**
 * Reads leaves, byte for byte: from the store's chunks while they are there, else from the log folder. Nothing here
 * vouches for them; whoever must be sure compares their hashes with the tree.
 */

import { WritError } from '../../core/fault.ts'
import { type CarriedEntry, carriedPath, decodeCarried, findBundle, type TileReader, tileWidth } from '../log/tiles.ts'
import { leavesOf, maxChunkBytes } from './chunk.ts'
import { sql } from './drizzle.ts'
import { type Db, meansOf } from './schema.ts'
import { rowsOf } from './sql.ts'

/** A leaf in its place. */
export interface Leaf {
  readonly shard: number
  /** Position in the shard's log: 0, 1, 2, … without holes. */
  readonly index: number
  readonly bytes: Uint8Array
}

/** The longest leaf that fills a chunk alone, and what may stand beside it. */
const maxInflated = maxChunkBytes + 0x10000 + 2

/** Those leaves, in the order they were asked for. One that is nowhere throws `log_invalid`. */
export async function readLeaves(db: Db, shard: number, indexes: readonly number[]): Promise<readonly Leaf[]> {
  const found = await leavesAt(db, shard, indexes)
  return indexes.map((index) => {
    const bytes = found.get(index)
    if (bytes) return { shard, index, bytes }
    throw new WritError(
      'log_invalid',
      `leaf ${index} of shard ${shard} is neither in the store nor in the log folder`,
      {
        cure: 'give the log folder with --log where the store is read alone; `writ audit verify` names what is missing',
      },
    )
  })
}

/** Those of the leaves that are there, by index. */
export async function leavesAt(
  db: Db,
  shard: number,
  indexes: readonly number[],
): Promise<ReadonlyMap<number, Uint8Array>> {
  const found = new Map<number, Uint8Array>()
  const wanted = [...new Set(indexes)].sort((a, b) => a - b)
  while (wanted.length > 0) {
    const chunk = await chunkOver(db, shard, wanted[0]!, wanted.at(-1)!)
    if (!chunk) break
    while (wanted.length > 0 && wanted[0]! <= chunk.last) {
      const index = wanted.shift()!
      const bytes = chunk.leaves[index - chunk.first]
      if (bytes) found.set(index, bytes)
    }
  }
  const files = db.means?.files?.(shard)
  const rest = indexes.filter((index) => !found.has(index))
  if (files && rest.length > 0) await readFiles(files, new Set(rest), found)
  return found
}

/** What the log folder alone has of a range. */
export async function filedLeaves(
  db: Db,
  shard: number,
  first: number,
  last: number,
): Promise<ReadonlyMap<number, Uint8Array>> {
  const found = new Map<number, Uint8Array>()
  const files = db.means?.files?.(shard)
  const wanted = new Set(Array.from({ length: last - first + 1 }, (_, i) => first + i))
  if (files) await readFiles(files, wanted, found)
  return found
}

interface OpenChunk {
  readonly first: number
  readonly last: number
  readonly leaves: readonly Uint8Array[]
}

/** The first chunk that reaches into a range of leaves. One that cannot be read is as good as none. */
export async function chunkOver(db: Db, shard: number, first: number, last: number): Promise<OpenChunk | undefined> {
  const [row] = await rowsOf<{ first: string; last: string; bytes: Uint8Array }>(
    db.execute(sql`select first, last, bytes from chunks where shard = ${shard} and first <= ${last}
      and first >= coalesce((select max(first) from chunks where shard = ${shard} and first <= ${first}), ${first})
      and last >= ${first} order by first limit 1`),
  )
  if (!row) return undefined
  const from = Number(row.first)
  const to = Number(row.last)
  const bytes = await meansOf(db)
    .decompress(new Uint8Array(row.bytes), maxInflated)
    .catch(() => undefined)
  return { first: from, last: to, leaves: (bytes && leavesOf({ count: to - from + 1, bytes })) ?? [] }
}

/** From bundles, whole or partial: of a partial one the widest that is there. */
async function readFiles(read: TileReader, wanted: Set<number>, found: Map<number, Uint8Array>): Promise<void> {
  for (const bundle of new Set([...wanted].map((index) => Math.floor(index / tileWidth)))) {
    for (const { at, bytes } of await carriedIn(read, bundle)) {
      if (wanted.has(bundle * tileWidth + at)) found.set(bundle * tileWidth + at, bytes)
    }
    for (const [i, entry] of ((await findBundle(read, bundle)) ?? []).entries()) {
      const index = bundle * tileWidth + i
      if (wanted.has(index)) found.set(index, entry)
    }
  }
}

/** What a pruning left of a bundle. */
async function carriedIn(read: TileReader, bundle: number): Promise<readonly CarriedEntry[]> {
  const file = await read(carriedPath(bundle))
  return (file && decodeCarried(file)) ?? []
}
