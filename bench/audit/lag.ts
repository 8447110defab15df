/** How long decisions take to be queryable and to be under a checkpoint, seen from outside by asking PostgreSQL. */

import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

export interface Waits {
  readonly p50: number
  readonly p99: number
}

interface Batch {
  readonly shard: number
  readonly last: number
  readonly count: number
  readonly firstMs: number
  readonly lastMs: number
}

/** Weights of waits, by the millisecond. */
class Histogram {
  readonly #weights = new Map<number, number>()
  #total = 0

  /** A batch's records came evenly between its times. */
  add({ count, firstMs, lastMs }: Batch, seenMs: number): void {
    for (let i = 0; i < 20; i++) {
      const wait = Math.round(seenMs - (firstMs + ((lastMs - firstMs) * (i + 0.5)) / 20))
      this.#weights.set(wait, (this.#weights.get(wait) ?? 0) + count / 20)
    }
    this.#total += count
  }

  at(share: number): number {
    let sum = 0
    for (const [wait, weight] of [...this.#weights].sort((a, b) => a[0] - b[0])) {
      sum += weight
      if (sum >= share * this.#total) return wait
    }
    return 0
  }
}

export function watchLag(url: string): {
  nowMs(): number
  reset(): void
  close(): Promise<Readonly<Record<string, Waits>>>
} {
  let queryable = new Histogram()
  let covered = new Histogram()
  let open: Batch[] = []
  let now = Number.POSITIVE_INFINITY
  let over = false
  const watching = (async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const after = new Map<number, number>()
    let first = true
    while (!over) {
      const { rows } = await client.query(
        `select b.shard, b.first::float8, b.last::float8, extract(epoch from first_at)::float8 * 1000 as first_ms,
           extract(epoch from last_at)::float8 * 1000 as last_ms
         from (select distinct shard from rolled) s cross join lateral (
           select * from batches b where b.shard = s.shard order by first desc limit 50) b order by b.shard, b.first`,
      )
      const seen = Date.now()
      for (const row of rows) {
        if (row.first <= (after.get(row.shard) ?? -1)) continue
        after.set(row.shard, row.first)
        const { shard, last, first_ms: firstMs, last_ms: lastMs } = row
        const batch = { shard, last, count: last - row.first + 1, firstMs, lastMs }
        now = Math.round(seen - lastMs)
        if (first) continue
        queryable.add(batch, seen)
        open.push(batch)
      }
      first = false
      const signed = await client.query('select shard, max(size)::float8 as size from checkpoints group by shard')
      const sizes = new Map(signed.rows.map(({ shard, size }) => [shard as number, size as number]))
      const done = Date.now()
      open = open.filter((batch) => {
        if ((sizes.get(batch.shard) ?? 0) <= batch.last) return true
        covered.add(batch, done)
        return false
      })
      await pause(40)
    }
    await client.end()
  })()
  return {
    nowMs: () => now,
    reset: () => {
      queryable = new Histogram()
      covered = new Histogram()
      open = []
    },
    close: async () => {
      over = true
      await watching
      const of = (histogram: Histogram): Waits => ({ p50: histogram.at(0.5), p99: histogram.at(0.99) })
      return { 'decision to queryable': of(queryable), 'decision to checkpoint': of(covered) }
    },
  }
}
