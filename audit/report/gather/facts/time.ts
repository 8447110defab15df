/** `retention` and `clock`: how far back the log goes, and whether its times are to be believed. */

import { isObject, type Json } from '../../../../core/json.ts'
import { isAuditor } from '../../../verify/records.ts'
import { Count, type DrawKey } from '../count.ts'
import { memberAt, textAt } from '../view.ts'
import type { Ending, Fact, Seen } from './fact.ts'

export function retentionFact(): Fact {
  let first: { readonly atMs: number; readonly seen: Pick<Seen, 'key' | 'at'> } | undefined
  const pruned = new Count()
  const holds = new Set<string>()
  let held = 0
  let prunedYoungerMs = Number.NEGATIVE_INFINITY
  return {
    take({ view: { event, atMs }, key, at }) {
      if (!first || atMs < first.atMs) first = { atMs, seen: { key, at } }
      if (event.kind !== 'log') return
      const body = event as unknown as Json
      const name = textAt(body, 'case') ?? ''
      switch (textAt(body, 'action')) {
        case 'held':
          holds.add(name)
          held++
          break
        case 'lifted':
          holds.delete(name)
          break
        case 'pruned': {
          pruned.add(key, at, `before ${memberAt(body, 'before')}`)
          const olderThan = Date.parse(textAt(body, 'olderThan') ?? '')
          if (!Number.isNaN(olderThan)) prunedYoungerMs = Math.max(prunedYoungerMs, olderThan)
        }
      }
    },
    finish: ({ toMs, parameters }: Ending) => {
      const days = (ms: number): number => Math.floor((toMs - ms) / 86_400_000)
      const oldest = new Count()
      if (first) oldest.add(first.seen.key, first.seen.at, 'oldest')
      const keptDays = Number.isFinite(prunedYoungerMs) ? days(prunedYoungerMs) : null
      const short = keptDays !== null && keptDays < (parameters['days'] ?? 0)
      return {
        values: {
          ageDays: first ? days(first.atMs) : null,
          pruned: pruned.count,
          keptDays,
          short,
          holds: holds.size,
          held,
        },
        tallies: { pruned: pruned.finish(), oldest: oldest.finish() },
      }
    },
  }
}

/** Records between two of the ledger's own in one shard; the longest stretch ends it. */
const maxWaiting = 200_000

/**
 * A record that the ledger stored before its own next record cannot be younger than that one: so much its producer's
 * clock is ahead, at least. What is behind may only have waited in a spool, and the ledger's own findings tell of it.
 */
export function clockFact(): Fact {
  type Waiting = { readonly producer: string; readonly atMs: number; readonly key: DrawKey; readonly at: Seen['at'] }
  const waiting = new Map<number, Waiting[]>()
  const skews = new Map<
    string,
    { readonly buckets: Map<number, number>; records: number; worst?: Waiting; worstMs: number }
  >()
  const findings = new Count()
  let whole = true
  const judge = (one: Waiting, ledgerMs: number): void => {
    const ahead = Math.max(0, one.atMs - ledgerMs)
    let skew = skews.get(one.producer)
    if (!skew) {
      if (skews.size >= 100_000) {
        whole = false
        return
      }
      skew = { buckets: new Map(), records: 0, worstMs: -1 }
      skews.set(one.producer, skew)
    }
    skew.records++
    const bucket = Math.min(86_400_000, Math.ceil(ahead / 10) * 10)
    if (skew.buckets.size < 10_000 || skew.buckets.has(bucket))
      skew.buckets.set(bucket, (skew.buckets.get(bucket) ?? 0) + 1)
    if (ahead > skew.worstMs) Object.assign(skew, { worst: one, worstMs: ahead })
  }
  return {
    take({ view: { event, atMs }, inside, at, key }) {
      if (event.kind === 'finding' && inside && textAt(event as unknown as Json, 'finding') === 'clock_skew') {
        findings.add(key, at, textAt(event as unknown as Json, 'subject') ?? '')
      }
      const list = waiting.get(at.shard) ?? []
      if (isAuditor(event.producer)) {
        for (const one of list) judge(one, atMs)
        waiting.set(at.shard, [])
        return
      }
      if (!inside) return
      if (list.length >= maxWaiting) whole = false
      else list.push({ producer: event.producer, atMs, key, at })
      waiting.set(at.shard, list)
    },
    finish: ({ parameters, anchors, toMs }: Ending) => {
      const off = new Count(10)
      const good = new Count()
      let worst = 0
      for (const [producer, skew] of skews) {
        const p99 = percentile(skew.buckets, skew.records, 0.99)
        worst = Math.max(worst, p99)
        const { key, at } = skew.worst!
        ;(p99 > (parameters['skew'] ?? 0) ? off : good).add(key, at, producer)
      }
      const newest = anchors.reduce((last, { atMs }) => Math.max(last, atMs), Number.NEGATIVE_INFINITY)
      return {
        values: {
          producers: skews.size,
          aheadProducers: off.count,
          worstP99Ms: worst,
          findings: findings.count,
          anchors: anchors.length,
          anchorAgeMinutes: anchors.length > 0 ? Math.max(0, Math.round((toMs - newest) / 60_000)) : null,
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

export const objectsOf = (value: Json | undefined): readonly { readonly [member: string]: Json | undefined }[] =>
  Array.isArray(value) ? value.filter(isObject) : []
