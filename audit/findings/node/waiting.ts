/** Entries between the auditor and who judges them: in memory while they come in order, and otherwise read again. */

import type { ArrivedRecord } from '../../store/arrival.ts'
import { type Lag, type Skew, skewsOf } from '../clock.ts'
import { msOf, type Seen, seenIn, seenOf } from '../seen.ts'

/** What one shard holds at most; what is over is read again from the store. */
const maxSeen = 20_000
const maxBatches = 1024
/** Producers whose clocks are watched at once. */
const maxProducers = 1024

export class Waiting {
  readonly #batches: { readonly from: number; readonly to: number; readonly seen: readonly Seen[] }[] = []
  readonly #lags = new Map<string, Lag>()
  #count = 0

  /** Called in the auditor's turn. */
  offer(from: number, entries: readonly ArrivedRecord[], own: string, nowMs: number): void {
    const seen: Seen[] = []
    for (const [i, { event, row }] of entries.entries()) {
      const one = row ? seenIn(row, from + i) : seenOf(event, from + i)
      if (one) seen.push(one)
    }
    this.#batches.push({ from, to: from + entries.length, seen })
    this.#count += seen.length
    while (this.#count > maxSeen || this.#batches.length > maxBatches) this.#count -= this.#batches.shift()!.seen.length
    for (const { event } of entries) {
      const { producer, timestamp } = event
      if (producer !== own) this.#lag(producer, nowMs - msOf(timestamp))
    }
  }

  #lag(producer: string, ms: number): void {
    const known = this.#lags.get(producer)
    if (known) {
      known.least = Math.min(known.least, ms)
      known.most = Math.max(known.most, ms)
      known.records++
    } else if (this.#lags.size < maxProducers) this.#lags.set(producer, { least: ms, most: ms, records: 1 })
  }

  /** Entries from `cursor` on without a hole; undefined where the next ones are not here. */
  take(cursor: number): { readonly seen: readonly Seen[]; readonly to: number } | undefined {
    while (this.#batches[0] && this.#batches[0].to <= cursor) this.#count -= this.#batches.shift()!.seen.length
    const first = this.#batches[0]
    if (!first || first.from > cursor) return undefined
    const seen: Seen[] = []
    let to = cursor
    while (this.#batches[0] && this.#batches[0].from <= to) {
      const batch = this.#batches.shift()!
      this.#count -= batch.seen.length
      for (const one of batch.seen) if (one.index >= to) seen.push(one)
      to = batch.to
    }
    return { seen, to }
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0
  }

  /** Of the time since it was asked last. */
  skews(skewMs: number): readonly Skew[] {
    const skews = skewsOf(this.#lags, skewMs)
    this.#lags.clear()
    return skews
  }
}
