/**
 * Which of a service's endpoints is asked: of two that chance names the one that costs less, by what its answers took
 * and what is in flight there. Endpoints that keep failing are left out for a while. A service with one endpoint never
 * gets here, and costs nothing.
 */

import type { Outcome } from '../../core/outcome.ts'
import type { Endpoint } from '../../core/snapshot.ts'
import { afterAnswer, costOf, type Latency } from './ewma.ts'
import {
  afterFailure,
  afterSuccess,
  type Health,
  healthy,
  isEjected,
  type OutlierOptions,
  outlierDefaults,
} from './outlier.ts'

/** What is known of one endpoint here. */
export interface Member {
  readonly endpoint: Endpoint
  latency: Latency
  health: Health
  inFlight: number
}

export interface Balancer {
  /** Changes nothing. Undefined where there is no endpoint. */
  pick(): Member | undefined
  /** A request goes there; to be called with its outcome once it is over. */
  begin(member: Member): (outcome: Pick<Outcome, 'code' | 'status' | 'durationUs'>) => void
  /** Takes the endpoints of a newer snapshot; what is known of those that stay is kept. */
  use(endpoints: readonly Endpoint[]): void
  stats(): readonly {
    readonly address: string
    readonly port: number
    readonly inFlight: number
    readonly ejected: boolean
  }[]
}

export interface BalancerParts {
  readonly nowMs: () => number
  /** A number from 0 up to 1. */
  readonly fraction: () => number
  readonly outlier?: OutlierOptions
}

/** A failure counts as an answer that took this long at least, in milliseconds: who fails fast must not draw requests. */
const failedMs = 1000

export function makeBalancer({ nowMs, fraction, outlier = outlierDefaults }: BalancerParts): Balancer {
  let members: readonly Member[] = []

  const ejectedAt = (now: number): number =>
    members.reduce((sum, { health }) => sum + Number(isEjected(health, now)), 0)

  function ended(member: Member, { code, status, durationUs }: Pick<Outcome, 'code' | 'status' | 'durationUs'>): void {
    member.inFlight--
    const answered = code === 'completed' && status !== 101 // How long a tunnel lasts says nothing.
    const failed = failures.has(code) || (answered && status >= 500)
    if (!answered && !failed) return
    const now = nowMs()
    member.latency = afterAnswer(member.latency, Math.max(durationUs / 1000, failed ? failedMs : 0), now)
    if (!failed) member.health = afterSuccess(member.health, now, outlier)
    else {
      const after = ejectedAt(now) + 1
      const mayEject = after < members.length && after <= outlier.maxShare * members.length
      member.health = afterFailure(member.health, now, outlier, mayEject)
    }
  }

  return {
    pick() {
      if (members.length < 2) return members[0]
      const now = nowMs()
      const ejected = ejectedAt(now)
      const able =
        ejected === 0 || ejected === members.length ? members : members.filter((one) => !isEjected(one.health, now))
      if (able.length === 1) return able[0]
      const first = Math.floor(fraction() * able.length)
      const step = 1 + Math.floor(fraction() * (able.length - 1))
      const [a, b] = [able[first]!, able[(first + step) % able.length]!]
      return costOf(b.latency, b.inFlight, now) < costOf(a.latency, a.inFlight, now) ? b : a
    },
    begin(member) {
      member.inFlight++
      return (outcome) => ended(member, outcome)
    },
    use(endpoints) {
      const known = new Map(members.map((member) => [keyOf(member.endpoint), member]))
      const fresh = { latency: { ms: 0, atMs: nowMs() }, health: healthy, inFlight: 0 }
      members = endpoints.map((endpoint) => known.get(keyOf(endpoint)) ?? { endpoint, ...fresh })
    },
    stats() {
      const now = nowMs()
      return members.map(({ endpoint: { address, port }, inFlight, health }) => {
        return { address, port, inFlight, ejected: isEjected(health, now) }
      })
    },
  }
}

const failures: ReadonlySet<string> = new Set<Outcome['code']>([
  'upstream_unreachable',
  'upstream_identity',
  'upstream_reset',
  'upstream_invalid',
  'upstream_timeout',
])

const keyOf = ({ address, port, identity, protocol }: Endpoint): string =>
  `${address} ${port} ${identity ?? ''} ${protocol ?? ''}`
