/**
 * Which of a service's endpoints is asked: of two that chance names the one that costs less, by what its answers took
 * and what is in flight there. Endpoints that keep failing are left out for a while. A service with one endpoint never
 * gets here, and costs nothing.
 */

import type { Outcome } from '../../core/outcome.ts'
import type { Endpoint } from '../../core/snapshot.ts'
import {
  type Balance,
  type OutlierOptions,
  outlierDefaults,
  type ServiceTraffic,
  type WarmUpOptions,
} from '../../core/traffic.ts'
import { type Choose, chooserOf } from './choose.ts'
import { afterAnswer } from './ewma.ts'
import { hash32 } from './hash.ts'
import { levelsFrom, nearestOf } from './locality.ts'
import { keyOf, type Member, saidOf } from './member.ts'
import { afterFailure, afterSuccess, healthy, isEjected } from './outlier.ts'
import { givesWay, shareOf } from './warm-up.ts'

export interface BalancerOptions {
  /** Default peak EWMA. */
  readonly type?: Balance['type'] | undefined
  readonly outlier?: OutlierOptions | undefined
  readonly warmUp?: WarmUpOptions | undefined
  /** Default near endpoints go before far ones, where it is said who is where. */
  readonly locality?: ServiceTraffic['locality']
}

export interface Balancer {
  /**
   * Undefined where there is no endpoint. `key`: of the request, where it is chosen by its hash. `tried`: endpoints that are
   * left out as long as there is another one. `from`: the locality of who asks.
   */
  pick(key?: string, tried?: readonly Endpoint[], from?: string): Member | undefined
  /** The endpoint that a session is of; undefined where it is ejected, or there no more. */
  at(endpoint: Endpoint): Member | undefined
  /** A request goes there; to be called with its outcome once it is over. */
  begin(member: Member): (outcome: Pick<Outcome, 'code' | 'status' | 'durationUs'>) => void
  /** Takes the endpoints of a newer snapshot; what is known of those that stay is kept. */
  use(endpoints: readonly Endpoint[], options?: BalancerOptions): void
  stats(): readonly {
    readonly address: string
    readonly port: number
    readonly inFlight: number
    readonly ejected: boolean
    /** Empty where nobody said. */
    readonly locality: string
    /** Requests that went there since the endpoint is known. */
    readonly asked: number
  }[]
}

export interface BalancerParts {
  readonly nowMs: () => number
  /** A number from 0 up to 1. */
  readonly fraction: () => number
}

/** A failure counts as an answer that took this long at least, in milliseconds: who fails fast must not draw requests. */
const failedMs = 1000

export function makeBalancer({ nowMs, fraction }: BalancerParts): Balancer {
  let members: readonly Member[] = []
  let outlier = outlierDefaults
  let warmUp: WarmUpOptions | undefined
  let type: Balance['type'] | undefined
  let choose: Choose = (able) => able[0]!
  /** By who asks. Undefined where no endpoint is nearer than another. */
  let levels = new Map<string, ReturnType<typeof levelsFrom>>()
  let near = true

  const ejectedAt = (now: number): number =>
    members.reduce((sum, { health }) => sum + Number(isEjected(health, now)), 0)

  function ended(member: Member, outcome: Pick<Outcome, 'code' | 'status' | 'durationUs'>): void {
    member.inFlight--
    const said = saidOf(outcome)
    if (said === undefined) return
    const now = nowMs()
    const tookMs = Math.max(outcome.durationUs / 1000, said === 'failure' ? failedMs : 0)
    member.latency = afterAnswer(member.latency, tookMs, now)
    if (said === 'success') member.health = afterSuccess(member.health, now, outlier)
    else {
      const after = ejectedAt(now) + 1
      const mayEject = after < members.length && after <= outlier.maxShare * members.length
      member.health = afterFailure(member.health, now, outlier, mayEject)
    }
  }

  /** Those of `able` that are near enough. A key whose endpoint is found by its hash keeps its level too. */
  function within(able: readonly Member[], from: string, key: string | undefined): readonly Member[] {
    if (!levels.has(from)) levels.set(from, levelsFrom(from, members))
    const known = levels.get(from)
    if (!known) return able
    const point = key !== undefined && hashes(type) ? () => hash32(`level ${key}`) / 2 ** 32 : fraction
    return nearestOf(known, new Set(able), point)
  }

  /** One of those that have their whole share. */
  function warm(able: readonly Member[], now: number, options: WarmUpOptions): Member | undefined {
    const others = able.filter((one) => shareOf(one, now, options) === 1)
    return others.length === 0 ? undefined : choose(others, now, undefined)
  }

  return {
    pick(key, tried, from) {
      if (members.length < 2) return members[0]
      const now = nowMs()
      const ejected = ejectedAt(now)
      const well =
        ejected === 0 || ejected === members.length ? members : members.filter((one) => !isEjected(one.health, now))
      const all = tried ? withoutTried(well, tried) : well
      const able = near && from !== undefined && all.length > 1 ? within(all, from, key) : all
      if (able.length === 1) return able[0]
      const chosen = choose(able, now, key)
      // A key keeps its endpoint.
      if (!warmUp || (key !== undefined && hashes(type))) return chosen
      return givesWay(chosen, now, warmUp, fraction) ? (warm(able, now, warmUp) ?? chosen) : chosen
    },
    at(endpoint) {
      const member = members.find((one) => one.key === keyOf(endpoint))
      return member && !isEjected(member.health, nowMs()) ? member : undefined
    },
    begin(member) {
      member.inFlight++
      member.asked++
      return (outcome) => ended(member, outcome)
    },
    use(endpoints, options) {
      outlier = options?.outlier ?? outlierDefaults
      warmUp = options?.warmUp
      near = options?.locality !== 'any'
      const before = members
      const known = new Map(before.map((member) => [member.key, member]))
      const now = nowMs()
      const fresh = {
        latency: { ms: 0, atMs: now },
        health: healthy,
        inFlight: 0,
        asked: 0,
        sinceMs: before.length === 0 ? 0 : now,
      }
      members = endpoints.map((endpoint) => {
        const key = keyOf(endpoint)
        return known.get(key) ?? { endpoint, key, ...fresh }
      })
      const next = options?.type ?? 'peak-ewma'
      const same = members.length === before.length && members.every((member, at) => member === before[at])
      if (!same) levels = new Map()
      if (next === type && same) return // A table takes a while to fill.
      type = next
      choose = chooserOf(next, members, fraction)
    },
    stats() {
      const now = nowMs()
      return members.map(({ endpoint: { address, port, locality = '' }, inFlight, asked, health }) => {
        return { address, port, inFlight, ejected: isEjected(health, now), locality, asked }
      })
    },
  }
}

function withoutTried(members: readonly Member[], tried: readonly Endpoint[]): readonly Member[] {
  const others = members.filter(({ endpoint }) => !tried.includes(endpoint))
  return others.length > 0 ? others : members
}

const hashes = (type: Balance['type'] | undefined): boolean => type === 'ring-hash' || type === 'maglev'
