/** The leaves of decisions, newest first within each shard, in pages that are bounded in rows and in bytes. */

import { and, desc, eq, gte, lt } from '../../store/drizzle.ts'
import { type Leaf, readLeaves } from '../../store/leaves.ts'
import { type Db, records } from '../../store/schema.ts'
import { maxLimit, type Question, writeCursor } from '../ask.ts'
import { conditionsOf } from './conditions.ts'
import { shardsOf } from './find.ts'
import { backwards, windowOf } from './windows.ts'

export interface LeafPage {
  readonly leaves: readonly Leaf[]
  /** Cursor of those that follow; null at the end. */
  readonly next: string | null
}

/** Bytes after which a page ends. */
const pageBytes = 8 * 1024 ** 2
/** Leaves that are read at once: at the longest record they are 16 MiB. */
const leavesAtOnce = 250

/** Unlike rows, leaves are read shard after shard: whoever reads them all needs no order between shards. */
export async function decisionLeaves(db: Db, question: Question): Promise<LeafPage> {
  const limit = Math.min(question.limit ?? maxLimit, maxLimit)
  const cursor = new Map(question.cursor)
  const page: Leaf[] = []
  let bytes = 0
  for (const shard of await shardsOf(db)) {
    if (cursor.get(shard) === 0) continue // Read to its end.
    const room = limit - page.length
    if (room <= 0) return { leaves: page, next: writeCursor(cursor) }
    const found = await indexesBelow(db, question, shard, cursor.get(shard), room)
    for (let at = 0; at < found.length; at += leavesAtOnce) {
      if (bytes >= pageBytes) return { leaves: page, next: writeCursor(cursor) }
      for (const leaf of await readLeaves(db, shard, found.slice(at, at + leavesAtOnce))) {
        page.push(leaf)
        bytes += leaf.bytes.length
        cursor.set(shard, leaf.index)
      }
    }
    if (found.length < room) cursor.set(shard, 0)
    else return { leaves: page, next: writeCursor(cursor) }
  }
  return { leaves: page, next: null }
}

async function indexesBelow(
  db: Db,
  question: Question,
  shard: number,
  below: number | undefined,
  limit: number,
): Promise<readonly number[]> {
  const conditions = [eq(records.shard, shard), eq(records.kind, 'decision'), ...conditionsOf(question)]
  return backwards(await windowOf(db, shard, question, below), limit, async ({ low, high }, most) => {
    const rows = await db
      .select({ index: records.index })
      .from(records)
      .where(and(...conditions, gte(records.index, low), lt(records.index, high)))
      .orderBy(desc(records.index))
      .limit(most)
    return rows.map(({ index }) => index)
  })
}
