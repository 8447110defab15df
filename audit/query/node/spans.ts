/** Where in a shard's log the answer to a question can be, newest first: so that what is rare is not searched for. */

import { sql } from 'drizzle-orm'
import type { Db } from '../../store/schema.ts'
import type { Question } from '../ask.ts'
import { summedConditions } from './conditions.ts'
import { rowsFrom } from './sql.ts'
import type { Window } from './windows.ts'

/** Indexes, both included. */
export interface Span {
  readonly first: number
  readonly last: number
}

/** Sums that are read at once. */
const sumsAtOnce = 2000
/** Spans no further apart are read as one: that is cheaper than a query for each. */
const near = 256
/** Rows have no index in order: a part is read whole and sorted, and so the first are small. */
const firstWidth = 4096
const longest = 262_144

export async function* spansOf(db: Db, question: Question, shard: number, { low, high }: Window): AsyncGenerator<Span> {
  const parts = new Parts()
  const where = summedConditions(question)
  if (!where) {
    yield* parts.split({ first: low, last: high - 1 })
    return
  }
  for (let ceiling = high; ceiling > low; ) {
    const rows = await rowsFrom(
      db,
      sql`select first_index, last_index from traffic where shard = ${shard} and first_index < ${ceiling}
        and last_index >= ${low} and ${where} order by last_index desc limit ${sumsAtOnce}`,
    )
    let open: { first: number; last: number } | undefined
    for (const row of rows) {
      const first = Math.max(Number(row['first_index']), low)
      const last = Math.min(Number(row['last_index']), ceiling - 1)
      if (open && last >= open.first - near) {
        open.first = Math.min(open.first, first)
        continue
      }
      if (open) yield* parts.split(open)
      open = { first, last }
    }
    if (open) yield* parts.split(open)
    // All below the lowest that was read is still to come: what reaches above it was read with the rest.
    if (!open || rows.length < sumsAtOnce) return
    ceiling = open.first
  }
}

/** Each part is wider than the one before. */
class Parts {
  #width = firstWidth;

  *split({ first, last }: Span): Generator<Span> {
    for (let to = last; to >= first; ) {
      const from = Math.max(first, to - this.#width + 1)
      yield { first: from, last: to }
      to = from - 1
      this.#width = Math.min(this.#width * 2, longest)
    }
  }
}
