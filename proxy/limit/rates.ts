/** How many requests a listener takes: by bucket for all, for each caller and for each key. What is over is refused with 429. */

import type { Decision } from '../../core/decision.ts'
import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { Identified } from '../../core/identity.ts'
import type { ListenerLimits } from '../../core/snapshot.ts'
import type { RateLimit } from '../../core/traffic.ts'
import { isHead } from '../exchange.ts'
import { routeIndex } from '../flow/route-index.ts'
import { type Acceptance, acceptanceOf } from './accepts.ts'
import { type Bucket, fullBucket, refilled, taken, waitMs } from './bucket.ts'
import { keyAt } from './key.ts'

/** Buckets of one limit. The one that was asked longest ago makes room, and is full when it is asked again. */
export const maxBuckets = 10_000

/**
 * Takes a token from each bucket that is asked, or none and says why the request is refused. A caller without a name is
 * counted by its address, where such callers are served at all.
 */
export type AskRates = (
  identified: Identified,
  head: RequestHead | HeadFault,
  nowMs: number,
  peer?: { readonly address: string },
) => Decision | undefined

export interface Rates {
  readonly ask: AskRates
  /** Takes the limits of a newer snapshot; buckets of limits that stay are kept. */
  use(limits: ListenerLimits): void
}

interface Limit {
  readonly limit: RateLimit
  /** For the record. */
  readonly of: string
  readonly buckets: Map<string, Bucket>
}

/** `strangers`: whether callers without a name are counted. Default they are refused elsewhere, whatever the rates say. */
export function makeRates(first: ListenerLimits, strangers = false): Rates {
  let known = new Map<string, Limit>()
  let all: readonly Limit[] = []
  let accepts: Acceptance | undefined
  let ofRoutes: (head: RequestHead) => { readonly limits: readonly Limit[] } | undefined = () => undefined

  function use(limits: ListenerLimits): void {
    const next = new Map<string, Limit>()
    const limitOf = (of: string, limit: RateLimit): Limit => {
      const name = `${of} ${JSON.stringify(limit)}`
      const one = next.get(name) ?? known.get(name) ?? { limit, of, buckets: new Map() }
      next.set(name, one)
      return one
    }
    all = limits.all.map((limit) => limitOf('this listener', limit))
    const routes = (limits.routes ?? []).map(({ route, match, limits }) => ({
      match,
      limits: limits.map((limit) => limitOf(`route ${ruleOf(route)}`, limit)),
    }))
    ofRoutes = routeIndex(routes)
    known = next
    accepts = acceptanceOf(limits)
  }

  use(first)
  return {
    use,
    ask(identified, head, nowMs, peer) {
      if (!isHead(head) || !(identified.ok || strangers)) return undefined // Refused by what it is, whatever the rates say.
      const ofRoute = ofRoutes(head)?.limits
      const unfit = accepts?.refused(head)
      if (unfit) return unfit
      const asked = ofRoute ? [...all, ...ofRoute] : all
      const caller = identified.ok ? identified.identity.id : `address ${peer?.address}`
      const found: { readonly one: Limit; readonly key: string; readonly bucket: Bucket }[] = []
      for (const one of asked) {
        const { by } = one.limit
        const key = (by && keyAt(by, head, caller)) ?? ''
        const bucket = refilled(one.buckets.get(key) ?? fullBucket(one.limit, nowMs), nowMs, one.limit)
        const ms = waitMs(bucket, one.limit)
        if (ms > 0) {
          put(one.buckets, key, bucket) // Who goes on asking is not forgotten.
          return refusal(one, ms)
        }
        found.push({ one, key, bucket })
      }
      for (const { one, key, bucket } of found) put(one.buckets, key, taken(bucket))
      return undefined
    },
  }
}

/** The matches of one rule share its buckets: `orders/admin/0` and `orders/admin/1`. */
const ruleOf = (route: string): string => route.slice(0, route.lastIndexOf('/'))

/** A Map keeps its order: what was asked last stands last. */
function put(buckets: Map<string, Bucket>, key: string, bucket: Bucket): void {
  buckets.delete(key)
  if (buckets.size >= maxBuckets) buckets.delete(buckets.keys().next().value!)
  buckets.set(key, bucket)
}

/** `Retry-After` in whole seconds (RFC 9110 section 10.2.3). What a key was, is not said: a header may hold a secret. */
function refusal({ limit: { perSecond, burst, by }, of }: Limit, ms: number): Decision {
  const each = !by ? '' : by.kind === 'caller' ? ' for each caller' : ` for each ${by.kind} ${by.name}`
  return {
    verdict: 'deny',
    code: 'rate_limited',
    from: { by: 'proxy' },
    reasons: [`${of} takes ${perSecond} a second and ${burst} at once${each}`],
    answer: { headers: { 'retry-after': String(Math.ceil(ms / 1000)) } },
  }
}
