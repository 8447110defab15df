/** Empties the buffer of leaves: chunks that the log folder is seen to hold, byte for byte, under an older checkpoint. */

import { equalBytes } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { sql } from './drizzle.ts'
import { chunkOver, filedLeaves } from './leaves.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'

/** Chunks removed in one call at most. */
const perCall = 256

/** From the beginning on, those below `below` that a checkpoint from before `beforeMs` covers. Gives how many went. */
export async function emptyChunks(
  db: Db,
  shard: number,
  beforeMs: number,
  below: number = Number.POSITIVE_INFINITY,
): Promise<number> {
  const [row] = await rowsOf<{ size: string }>(
    db.execute(sql`select coalesce(max(size), 0) as size from checkpoints
      where shard = ${shard} and at < ${new Date(beforeMs).toISOString()}`),
  )
  const covered = Math.min(Number(row!.size), below)
  for (let gone = 0; gone < perCall; gone++) {
    const [next] = await rowsOf<{ first: string; last: string }>(
      db.execute(sql`select first, last from chunks where shard = ${shard} order by first limit 1`),
    )
    if (!next || Number(next.last) >= covered) return gone
    await requireFiled(db, shard, Number(next.first), Number(next.last))
    await db.execute(sql`delete from chunks where shard = ${shard} and first = ${next.first}`)
  }
  return perCall
}

async function requireFiled(db: Db, shard: number, first: number, last: number): Promise<void> {
  const chunk = await chunkOver(db, shard, first, last)
  const filed = await filedLeaves(db, shard, first, last)
  for (let index = first; index <= last; index++) {
    const leaf = chunk?.leaves[index - first]
    const file = filed.get(index)
    if (leaf && file && equalBytes(leaf, file)) continue
    throw new WritError('log_invalid', `leaf ${index} of shard ${shard} is not in the log folder as the store has it`, {
      cure: 'nothing was removed; `writ audit verify --database` tells which of them was changed',
    })
  }
}
