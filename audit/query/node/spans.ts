/** Where in a shard's log the answer to a question can be, newest first: so that what is rare is not searched for. */

import { sql } from 'drizzle-orm'
import type { Db } from '../../store/schema.ts'
import type { Question } from '../ask.ts'
import { summedConditions } from './conditions.ts'
import { rowsFrom } from './sql.ts'

/** Indexes, both included. */
export interface Span {
  readonly first: number
  readonly last: number
}

/** Sums that are read at once. */
const sumsAtOnce = 2000
/** Spans no further apart are read as one: that is cheaper than a query for each. */
const near = 256
/** Indexes that one query goes through at most. */
const longest = 250_000

export async function* spansOf(db: Db, question: Question, shard: number, below: number): AsyncGenerator<Span> {
  const where = summedConditions(question)
  if (!where) {
    yield* inParts({ first: 0, last: below - 1 })
    return
  }
  for (let ceiling = below; ceiling > 0; ) {
    const rows = await rowsFrom(
      db,
      sql`select first_index, last_index from traffic where shard = ${shard} and first_index < ${ceiling} and ${where}
        order by last_index desc limit ${sumsAtOnce}`,
    )
    let open: { first: number; last: number } | undefined
    for (const row of rows) {
      const first = Number(row['first_index'])
      const last = Math.min(Number(row['last_index']), ceiling - 1)
      if (open && last >= open.first - near) {
        open.first = Math.min(open.first, first)
        continue
      }
      if (open) yield* inParts(open)
      open = { first, last }
    }
    if (open) yield* inParts(open)
    // All below the lowest that was read is still to come: what reaches above it was read with the rest.
    if (!open || rows.length < sumsAtOnce) return
    ceiling = open.first
  }
}

function* inParts({ first, last }: Span): Generator<Span> {
  for (let to = last; to >= first; to -= longest) yield { first: Math.max(first, to - longest + 1), last: to }
}
