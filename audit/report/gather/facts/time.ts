/** `retention` and `clock`: how far back the log goes, and whether its times are to be believed. */

import type { Json } from '../../../../core/json.ts'
import { isAuditor } from '../../../verify/records.ts'
import { longestUnstamped } from '../../anchors.ts'
import { Dict, firstOf, isBefore, Listed, lastOf, type Place, Sums } from '../held.ts'
import { memberAt, textAt } from '../view.ts'
import { type Ending, type Fact, maxFew } from './fact.ts'

export function retentionFact(): Fact {
  type Timed = { readonly atMs: number; readonly at: Place }
  const first = new Dict<Timed>((a, b) => (a.atMs === b.atMs ? firstOf(a, b) : a.atMs < b.atMs ? a : b), 1)
  const pruned = new Listed()
  const holds = new Dict<{ readonly held: boolean; readonly at: Place }>(lastOf, maxFew)
  const sums = new Sums(['held'])
  /** The youngest that was pruned. */
  const youngest = new Dict<number>(Math.max, 1)
  return {
    always: { first, pruned, holds, sums, youngest },
    reads: [],
    take({ view: { event }, at }) {
      if (event.kind !== 'log') return
      const body = event as unknown as Json
      const name = textAt(body, 'case') ?? ''
      switch (textAt(body, 'action')) {
        case 'held':
          sums.of.held++
          holds.add(name, { held: true, at: { ...at } })
          break
        case 'lifted':
          holds.add(name, { held: false, at: { ...at } })
          break
        case 'pruned': {
          pruned.add(at, `before ${memberAt(body, 'before')}`)
          const olderThan = Date.parse(textAt(body, 'olderThan') ?? '')
          if (!Number.isNaN(olderThan)) youngest.add('', olderThan)
        }
      }
    },
    pass(_, atMs, at) {
      const known = first.map.get('')
      if (!known || atMs < known.atMs) first.add('', { atMs, at: { ...at } })
    },
    finish: ({ toMs, parameters }: Ending) => {
      const days = (ms: number): number => Math.floor((toMs - ms) / 86_400_000)
      const oldest = new Listed()
      const begun = first.map.get('')
      if (begun) oldest.add(begun.at, 'oldest')
      const prunedMs = youngest.map.get('')
      const keptDays = prunedMs === undefined ? null : days(prunedMs)
      const short = keptDays !== null && keptDays < (parameters['days'] ?? 0)
      return {
        values: {
          ageDays: begun ? days(begun.atMs) : null,
          pruned: pruned.count,
          keptDays,
          short,
          holds: [...holds.map.values()].filter(({ held }) => held).length,
          held: sums.of.held,
        },
        tallies: { pruned: pruned.finish(), oldest: oldest.finish() },
      }
    },
  }
}

/** Records between two of the ledger's own in one shard; the longest stretch ends it. */
const maxWaiting = 200_000

/** Records of one shard that wait for the ledger's next one: who wrote them, when, and where. */
class Waiting {
  readonly producers: string[] = []
  /** Numbers of producers, times and indices less those of the first: as short as they can be written. */
  readonly who: number[] = []
  readonly ms: number[] = []
  readonly index: number[] = []
  readonly firstMs: number
  readonly firstIndex: number
  readonly #numbers = new Map<string, number>()

  constructor(firstMs: number, firstIndex: number) {
    this.firstMs = firstMs
    this.firstIndex = firstIndex
  }

  add(producer: string, atMs: number, index: number): void {
    let number = this.#numbers.get(producer)
    if (number === undefined) {
      number = this.producers.push(producer) - 1
      this.#numbers.set(producer, number)
    }
    this.who.push(number)
    this.ms.push(atMs - this.firstMs)
    this.index.push(index - this.firstIndex)
  }
}

type Skew = {
  readonly buckets: Map<number, number>
  records: number
  worstMs: number
  at: Place
}

/**
 * A record that the ledger stored before its own next record cannot be younger than that one: so much its producer's
 * clock is ahead, at least. What is behind may only have waited in a spool, and the ledger's own findings tell of it.
 */
export function clockFact(): Fact {
  const waiting = new Map<number, Waiting>()
  /** Time of the first record of the ledger's own, by shard: it judges what waited before the part. */
  const ledger = new Map<number, number>()
  const skews = new Map<string, Skew>()
  const findings = new Listed()
  let whole = true
  const skewOf = (producer: string): Skew | undefined => {
    const known = skews.get(producer)
    if (known) return known
    if (skews.size >= 100_000) whole = false
    else skews.set(producer, { buckets: new Map(), records: 0, worstMs: -1, at: { shard: 0, index: 0 } })
    return skews.get(producer)
  }
  const count = (skew: Skew, bucket: number, records: number): void => {
    skew.records += records
    if (skew.buckets.size < 10_000 || skew.buckets.has(bucket)) {
      skew.buckets.set(bucket, (skew.buckets.get(bucket) ?? 0) + records)
    }
  }
  const worse = (skew: Skew, ahead: number, at: Place): void => {
    if (ahead < skew.worstMs || (ahead === skew.worstMs && !isBefore(at, skew.at))) return
    skew.worstMs = ahead
    skew.at = { shard: at.shard, index: at.index }
  }
  const judge = (shard: number, ledgerMs: number): void => {
    const list = waiting.get(shard)
    if (!list) return
    waiting.delete(shard)
    for (let i = 0; i < list.ms.length; i++) {
      const skew = skewOf(list.producers[list.who[i]!]!)
      if (!skew) continue
      const ahead = Math.max(0, list.firstMs + list.ms[i]! - ledgerMs)
      count(skew, Math.min(86_400_000, Math.ceil(ahead / 10) * 10), 1)
      if (ahead >= skew.worstMs) worse(skew, ahead, { shard, index: list.firstIndex + list.index[i]! })
    }
  }
  const wait = (shard: number, producer: string, atMs: number, index: number): void => {
    let list = waiting.get(shard)
    if (!list) waiting.set(shard, (list = new Waiting(atMs, index)))
    if (list.ms.length >= maxWaiting) {
      whole = false
      return
    }
    list.add(producer, atMs, index)
  }
  return {
    always: {
      ledger: {
        save: () => [...ledger],
        merge: (saved) => {
          for (const [shard, ms] of saved as unknown as readonly [number, number][]) judge(shard, ms)
        },
      },
    },
    inside: {
      findings,
      skews: {
        save: () => ({
          whole,
          skews: [...skews].map(([producer, { buckets, ...skew }]) => ({ ...skew, producer, buckets: [...buckets] })),
          waiting: [...waiting].map(([shard, list]) => ({ ...list, shard })) as unknown as Json,
        }),
        merge: (saved) => {
          const other = saved as unknown as {
            readonly whole: boolean
            readonly skews: readonly (Omit<Skew, 'buckets'> & {
              readonly producer: string
              readonly buckets: readonly [number, number][]
            })[]
            readonly waiting: readonly (Waiting & { readonly shard: number })[]
          }
          whole &&= other.whole
          for (const { producer, buckets, worstMs, at } of other.skews) {
            const skew = skewOf(producer)
            if (!skew) continue
            for (const [bucket, records] of buckets) count(skew, bucket, records)
            worse(skew, worstMs, at)
          }
          for (const { shard, producers, who, ms, index, firstMs, firstIndex } of other.waiting) {
            for (let i = 0; i < ms.length; i++) {
              wait(shard, producers[who[i]!]!, firstMs + ms[i]!, firstIndex + index[i]!)
            }
          }
        },
      },
    },
    reads: [],
    take({ view: { event }, inside, at }) {
      if (event.kind === 'finding' && inside && textAt(event as unknown as Json, 'finding') === 'clock_skew') {
        findings.add(at, textAt(event as unknown as Json, 'subject') ?? '')
      }
    },
    pass(producer, atMs, { shard, index }, inside) {
      if (isAuditor(producer)) {
        if (!ledger.has(shard)) ledger.set(shard, atMs)
        judge(shard, atMs)
      } else if (inside) wait(shard, producer, atMs, index)
    },
    finish: ({ parameters, anchors, fromMs, toMs }: Ending) => {
      const [off, good] = [new Listed(10), new Listed()]
      let worst = 0
      for (const [producer, skew] of skews) {
        const p99 = percentile(skew.buckets, skew.records, 0.99)
        worst = Math.max(worst, p99)
        ;(p99 > (parameters['skew'] ?? 0) ? off : good).add(skew.at, producer)
      }
      const unstamped = longestUnstamped(anchors, fromMs, toMs)
      const newest = anchors.reduce((last, { atMs }) => Math.max(last, atMs), Number.NEGATIVE_INFINITY)
      return {
        values: {
          producers: skews.size,
          aheadProducers: off.count,
          worstP99Ms: worst,
          findings: findings.count,
          anchors: anchors.length,
          anchorAgeMinutes: anchors.length > 0 ? Math.max(0, Math.round((toMs - newest) / 60_000)) : null,
          unstampedMinutes: unstamped === undefined ? null : Math.round(unstamped / 60_000),
          whole,
        },
        tallies: { ahead: off.finish(), punctual: good.finish(), told: findings.finish() },
      }
    },
  }
}

function percentile(buckets: ReadonlyMap<number, number>, records: number, share: number): number {
  let left = Math.ceil(records * share)
  for (const [bucket, count] of [...buckets].sort(([a], [b]) => a - b)) {
    left -= count
    if (left <= 0) return bucket
  }
  return 0
}
