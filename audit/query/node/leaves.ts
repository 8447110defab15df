/** The leaves of decisions, newest first within each shard, in pages that are bounded in rows and in bytes. */

import { and, desc, eq, lt } from 'drizzle-orm'
import { type Db, type LeafRow, leaves, records } from '../../store/schema.ts'
import { maxLimit, type Question, writeCursor } from '../ask.ts'
import { conditionsOf, shardsOf } from './find.ts'

export interface LeafPage {
  readonly leaves: readonly LeafRow[]
  /** Cursor of those that follow; null at the end. */
  readonly next: string | null
}

/** Bytes after which a page ends. */
const pageBytes = 8 * 1024 ** 2
/** Rows that are read at once: at the longest record they are 16 MiB. */
const rowsAtOnce = 250

/** Unlike rows, leaves are read shard after shard: whoever reads them all needs no order between shards. */
export async function decisionLeaves(db: Db, question: Question): Promise<LeafPage> {
  const limit = Math.min(question.limit ?? maxLimit, maxLimit)
  const cursor = new Map(question.cursor)
  const page: LeafRow[] = []
  let bytes = 0
  for (const shard of await shardsOf(db)) {
    while (cursor.get(shard) !== 0) {
      const room = Math.min(rowsAtOnce, limit - page.length)
      if (room <= 0 || bytes >= pageBytes) return { leaves: page, next: writeCursor(cursor) }
      const rows = await rowsBelow(db, question, shard, cursor.get(shard), room)
      for (const leaf of rows) {
        page.push(leaf)
        bytes += leaf.bytes.length
      }
      cursor.set(shard, rows.length < room ? 0 : rows.at(-1)!.index)
    }
  }
  return { leaves: page, next: null }
}

async function rowsBelow(
  db: Db,
  question: Question,
  shard: number,
  below: number | undefined,
  limit: number,
): Promise<readonly LeafRow[]> {
  const conditions = [eq(records.shard, shard), eq(records.kind, 'decision'), ...conditionsOf(question)]
  if (below !== undefined) conditions.push(lt(records.index, below))
  const rows = await db
    .select({ leaf: leaves })
    .from(records)
    .innerJoin(leaves, and(eq(leaves.shard, records.shard), eq(leaves.index, records.index)))
    .where(and(...conditions))
    .orderBy(desc(records.index))
    .limit(limit)
  return rows.map(({ leaf }) => leaf)
}
