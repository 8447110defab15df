/** Reads what OPAs told from the leaves, which alone have it. */

import { readLeaves } from '../../store/leaves.ts'
import type { Db } from '../../store/schema.ts'
import type { Told } from '../answer.ts'
import { toldBy } from '../told.ts'

/** Leaves that are read at once: at the longest record they are 8 MiB. */
const leavesAtOnce = 125

/** By index. Apart from the rows, since a database without statistics would join every leaf before it takes a few. */
export async function toldAt(db: Db, shard: number, indexes: readonly number[]): Promise<ReadonlyMap<number, Told>> {
  const told = new Map<number, Told>()
  for (let from = 0; from < indexes.length; from += leavesAtOnce) {
    const wanted = indexes.slice(from, from + leavesAtOnce)
    const found = await readLeaves(db, shard, wanted)
    for (const { index, bytes } of found) told.set(index, toldBy(bytes))
  }
  return told
}
