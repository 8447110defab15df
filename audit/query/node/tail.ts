/**
 * Rows as they come in, oldest first. Each shard is read on from where it was; what comes faster than a page at a time is
 * read page after page, and where the reader is too far behind, the newest go first and it says how many it left out.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { and, asc, eq, gte, lt } from '../../store/drizzle.ts'
import { recallShard } from '../../store/recall.ts'
import { type Db, records } from '../../store/schema.ts'
import type { DecisionRow } from '../answer.ts'
import type { Cursor, Question } from '../ask.ts'
import { conditionsOf } from './conditions.ts'
import { findDecisions, shardsOf } from './find.ts'

export type TailItem =
  | { readonly rows: readonly DecisionRow[]; readonly cursor: Cursor }
  /** Records that were passed over, as nobody took those before them in time. */
  | { readonly behind: number; readonly cursor: Cursor }
  /** Nothing new; whoever reads knows that the other side is there. */
  | { readonly idle: true; readonly cursor: Cursor }

export interface TailOptions {
  /** Index to read on from, by shard. Default: the end. */
  readonly from?: Cursor
  readonly everyMs?: number
  /** Records that a reader may be behind. */
  readonly maxBehind?: number
  readonly signal?: AbortSignal
}

const pageRows = 500
const idleMs = 10_000

export async function* tail(db: Db, question: Question, options: TailOptions = {}): AsyncGenerator<TailItem> {
  const { everyMs = 500, maxBehind = 50_000, signal } = options
  const next = new Map(options.from)
  for (const shard of await shardsOf(db)) if (!next.has(shard)) next.set(shard, await endOf(db, shard))
  for (let saidMs = Date.now(); !signal?.aborted; ) {
    let found = false
    for (const shard of await shardsOf(db)) {
      const end = await endOf(db, shard)
      let from = next.get(shard) ?? 0 // A shard that is new is read from its beginning.
      if (end - from > maxBehind) {
        const behind = end - maxBehind - from
        from += behind
        next.set(shard, from)
        yield { behind, cursor: new Map(next) }
      }
      if (end <= from) continue
      const indexes = await newIndexes(db, question, shard, from, end)
      // Those that were read up to: the whole of it, unless the page is full.
      const to = indexes.length < pageRows ? end : indexes.at(-1)! + 1
      next.set(shard, to)
      if (indexes.length === 0) continue
      const rows = await rowsOf(db, question, shard, from, to)
      found = true
      saidMs = Date.now()
      yield { rows, cursor: new Map(next) }
    }
    if (found) continue
    if (Date.now() - saidMs >= idleMs) {
      saidMs = Date.now()
      yield { idle: true, cursor: new Map(next) }
    }
    await pause(everyMs, undefined, signal ? { signal } : {}).catch(() => undefined)
  }
}

async function newIndexes(db: Db, question: Question, shard: number, from: number, end: number): Promise<number[]> {
  const rows = await db
    .select({ index: records.index })
    .from(records)
    .where(and(eq(records.shard, shard), gte(records.index, from), lt(records.index, end), ...conditionsOf(question)))
    .orderBy(asc(records.index))
    .limit(pageRows)
  return rows.map(({ index }) => index)
}

async function rowsOf(db: Db, question: Question, shard: number, from: number, to: number): Promise<DecisionRow[]> {
  const page = await findDecisions(
    db,
    { ...question, limit: pageRows, cursor: new Map([[shard, to]]) },
    { only: { shard, from } },
  )
  return [...page.rows].reverse()
}

const endOf = async (db: Db, shard: number): Promise<number> => (await recallShard(db, shard)).size
