/** Routes made ready to be taken: their backends with what is known of each, and which of them a request goes to. */

import type { RequestHead } from '../../core/facts.ts'
import type { RouteFilters } from '../../core/filters.ts'
import type { Route, RouteMatch, SessionPlace } from '../../core/snapshot.ts'
import { type KeyPlace, retryDefaults, type ServiceBounds, type TryTimes } from '../../core/traffic.ts'
import { hash32 } from '../balance/hash.ts'
import { keyAt } from '../limit/key.ts'
import type { RetryPlan } from './attempts.ts'
import { merged } from './filters/merged.ts'
import type { Reach } from './reach.ts'
import { ruleOf, type Version } from './versions.ts'

/** A number from 0 up to 1, for weights. */
export type Fraction = () => number

/** Time for a call to a service that no route speaks of, in milliseconds: the default of `Route.timeoutMs`. */
export const defaultTimeoutMs = 15_000

/** A route, ready to be taken. */
export interface Way {
  readonly name: string
  readonly match: RouteMatch
  readonly sticky: KeyPlace | undefined
  readonly timeoutMs: number
  readonly backends: readonly Backend[]
  readonly session: SessionPlace | undefined
  readonly version: Version | undefined
  /** The backends where that has lost its weight. */
  readonly others: readonly Backend[]
  readonly filters: RouteFilters | undefined
  readonly mirrors: readonly { readonly reach: Reach | undefined; readonly share: number }[]
}

export interface Backend {
  /** Undefined for a service that is not there, or speaks no HTTP. */
  readonly reach: Reach | undefined
  readonly weight: number
  /** The route's, and its own besides. */
  readonly filters: RouteFilters | undefined
  /** What a place has of its service and route; see `Found`. */
  readonly more: { readonly times?: TryTimes; readonly retry?: RetryPlan; readonly connections?: ServiceBounds }
}

const everything: RouteMatch = { path: { type: 'prefix', value: '/' } }

export function wayOf(route: Route, services: ReadonlyMap<string, Reach>, version: Version | undefined): Way {
  const backends = route.backends.map(({ service, weight, filters }) =>
    backend(services.get(service), weight, route, merged(route.filters, filters)),
  )
  const isOnTrial = (at: number): boolean => route.backends[at]!.service === route.canary?.backend
  return {
    name: route.name,
    match: route.match,
    sticky: route.sticky,
    timeoutMs: route.timeoutMs,
    backends,
    session: route.session,
    version,
    others: version ? backends.map((one, at) => (isOnTrial(at) ? { ...one, weight: 0 } : one)) : backends,
    filters: route.filters,
    mirrors: (route.filters?.mirrors ?? []).map(({ service, share }) => ({ reach: services.get(service), share })),
  }
}

export const plainWay = (reach: Reach): Way => ({
  name: reach.name,
  match: everything,
  sticky: undefined,
  timeoutMs: reach.traffic?.timeoutMs ?? defaultTimeoutMs,
  backends: [backend(reach, 1, {})],
  session: undefined,
  version: undefined,
  others: [],
  filters: undefined,
  mirrors: [],
})

/** What the route says of attempts goes before what the service says. */
function backend(
  reach: Reach | undefined,
  weight: number,
  route: Pick<Route, 'tryMs' | 'retry'>,
  filters?: RouteFilters,
): Backend {
  const traffic = reach?.traffic
  const times = route.tryMs === undefined ? traffic?.times : { ...traffic?.times, tryMs: route.tryMs }
  const asked = route.retry || traffic?.retry
  const retry = asked && reach?.retry({ ...retryDefaults, ...traffic?.retry, ...route.retry })
  const connections = traffic?.connections
  const more = { ...(times && { times }), ...(retry && { retry }), ...(connections && { connections }) }
  return { reach, weight, filters, more }
}

export const backendsOf = ({ version, others, backends }: Way): readonly Backend[] =>
  version?.returned() ? others : backends

/** By chance and weight; where the route is sticky and the request has its key, by that in place of chance. */
export function backendOf(way: Way, head: RequestHead, pick: Fraction): Backend | undefined {
  const { name, sticky } = way
  const backends = backendsOf(way)
  const key = sticky && keyAt(sticky, head, undefined)
  // A weight that grows takes keys over, and leaves those that the backend has.
  return weighted(backends, key === undefined ? pick : () => hash32(`${ruleOf(name)} ${key}`) / 2 ** 32)
}

/** The one that a point from 0 up to 1 falls to, each as wide as its weight. */
export function weighted<One extends { readonly weight: number }>(
  all: readonly One[],
  point: Fraction,
): One | undefined {
  if (all.length === 1) return all[0]!.weight > 0 ? all[0] : undefined
  let left = point() * all.reduce((sum, { weight }) => sum + weight, 0)
  for (const one of all) {
    if (one.weight > 0 && left < one.weight) return one
    left -= one.weight
  }
  return undefined
}
