/** Where a request would go. The snapshot holds routes in order of precedence, so the first that matches wins. */

import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { RouteFilters } from '../../core/filters.ts'
import type { PolicyUse, Sealing } from '../../core/policy.ts'
import type { Endpoint, Listener, MeshSnapshot } from '../../core/snapshot.ts'
import type { ServiceBounds, TryTimes } from '../../core/traffic.ts'
import { isHead, type MirrorTo } from '../exchange.ts'
import { keyAt } from '../limit/key.ts'
import type { Ended, RetryPlan, Withheld } from './attempts.ts'
import { hostOf } from './authority.ts'
import { type Injected, injectedInto } from './filters/answer.ts'
import { type Place, reachOf, type Watch } from './reach.ts'
import { routeIndex } from './route-index.ts'
import { sessionField, sessionOf } from './session.ts'
import type { Told } from './versions.ts'
import {
  type Backend,
  backendOf,
  backendsOf,
  defaultTimeoutMs,
  type Fraction,
  plainWay,
  type Way,
  wayOf,
} from './way.ts'
import { patternsOf } from './wildcard.ts'

export interface Found {
  /** Name of the route, or of the service where no route spoke. */
  readonly route: string
  readonly service: string
  readonly endpoint: Endpoint
  /** Time for the whole exchange, in milliseconds; 0 is none. */
  readonly timeoutMs: number
  /** What is asked about requests of this route, in place of the listener's own policy. Default that. */
  readonly policy?: PolicyUse
  /** Whether CONNECT opens a tunnel there. Default not. */
  readonly connect?: true
  /** What our record of it holds as digests, where the policy that is asked says nothing of it. Default nothing. */
  readonly sealing?: Sealing
  /** Asked from outside of the mesh: what the caller says of hops before it is replaced by what is seen. Default not. */
  readonly fromOutside?: true
  /**
   * Says that the request goes there, where somebody counts; what it gives is told the outcome, or says why the service is
   * not to be asked. Default nobody counts.
   */
  readonly begin?: () => Ended | Withheld
  /** Longest body that may go there, in bytes. Default any. */
  readonly bodyBytes?: number
  /** A field of the answer by which the next request finds the same endpoint. Default none. */
  readonly persist?: readonly [string, string]
  /** Told what became of the request, once, where a version of its service is on trial. Default nobody is. */
  readonly tell?: (outcome: Told) => void
  /** How much is asked of the service at a time. Default the proxy's own limits. */
  readonly connections?: ServiceBounds
  /** Of each attempt. Default none. */
  readonly times?: TryTimes
  /** Where it may be tried more than once. */
  readonly retry?: RetryPlan
  /** What the route does besides. Default it sends requests on. */
  readonly filters?: RouteFilters
  /** The prefix that it matched. */
  readonly prefix?: string
  /** What chance injects into this request. Default nothing. */
  readonly injected?: Injected
  /** Where copies of this request go. Default nowhere. */
  readonly mirrors?: readonly MirrorTo[]
}

/** `caller`: by whom an endpoint may be chosen. */
export type FindRoute = (head: RequestHead | HeadFault, caller?: string) => Found | undefined

/**
 * An inbound listener has one place to go: the workload's own port. A head that nobody could read is its business too.
 * Its routes say which policy is asked, by the path, method and headers that go on. The host says nothing here: a caller
 * may write any, and would choose its judge by it.
 */
export function appRoute(listener: Extract<Listener, { direction: 'inbound' }>): FindRoute {
  const found = appOf(listener)
  if (!listener.policies) return () => found
  const routes = listener.policies.map(({ route, match, policy }) => ({
    match,
    found: policy ? { ...found, route, policy } : { ...found, route },
  }))
  const first = routeIndex(routes)
  return (head) => (isHead(head) && first(head)?.found) || found
}

/** The workload itself. The caller's side keeps the time. */
export const appOf = ({ service, app }: Extract<Listener, { direction: 'inbound' }>): Found => ({
  route: service,
  service,
  endpoint: { ...app, identity: undefined },
  timeoutMs: 0,
})

/**
 * Outbound: the host picks the routes, exactly and without its port, else by the longest wildcard that holds it; then each
 * route's match is asked in order. A host that no route names goes to the service of that host. A host whose routes all
 * decline, a service without endpoints and backends without weight find nothing. `watch`: what is known of services.
 */
export function routesOf(
  snapshot: Pick<MeshSnapshot, 'services' | 'routes'>,
  pick: Fraction,
  watch: Watch = {},
): FindRoute {
  const spoken = snapshot.services.filter(({ protocol }) => protocol === undefined)
  const services = new Map(spoken.map((service) => [service.name, reachOf(service, pick, watch)]))
  const byHost = new Map<string, Way[]>()
  for (const route of snapshot.routes) {
    const way = wayOf(route, services, watch.version?.(route))
    for (const host of route.hosts) {
      const known = byHost.get(host)
      if (known) known.push(way)
      else byHost.set(host, [way])
    }
  }
  const ways = new Map([...byHost].map(([host, of]) => [host, routeIndex(of)]))
  const wild = [...byHost.keys()].some((host) => host.startsWith('*.'))
  const plain = new Map(
    spoken.flatMap(({ hosts, name }) => hosts.map((host) => [host, plainWay(services.get(name)!)] as const)),
  )

  return (head, caller) => {
    if (!isHead(head)) return undefined
    const host = hostOf(head.authority)
    const way = wild ? narrowest(host, head) : ways.get(host)?.(head)
    if (way)
      return (way.session && again(way, head, caller, pick)) ?? to(way, backendOf(way, head, pick), head, caller, pick)
    const service = ways.has(host) ? undefined : plain.get(host)
    return service && to(service, service.backends[0], head, caller, pick)
  }

  /** More of the name goes first (HTTPRoute hostnames). */
  function narrowest(host: string, head: RequestHead): Way | undefined {
    for (const pattern of patternsOf(host)) {
      const way = ways.get(pattern)?.(head)
      if (way) return way
    }
    return undefined
  }
}

/** Where the session of the request goes on, as long as its backend has a weight and its endpoint is asked. */
function again(way: Way, head: RequestHead, caller: string | undefined, pick: Fraction): Found | undefined {
  const session = keyAt(way.session!, head, undefined)
  if (session === undefined) return undefined
  for (const backend of backendsOf(way)) {
    const place = backend.weight > 0 ? backend.reach?.again(session) : undefined
    if (place) return there(way, backend, place, head, caller, pick)
  }
  return undefined
}

function to(
  way: Way,
  backend: Backend | undefined,
  head: RequestHead,
  caller: string | undefined,
  pick: Fraction,
): Found | undefined {
  const place = backend?.reach?.pick(head, caller)
  if (!place)
    return way.filters && answersItself(way.filters)
      ? { ...ofWay(way), ...nowhere, ...filtered(way, way.filters, head, pick) }
      : undefined
  const found = there(way, backend!, place, head, caller, pick)
  if (!way.session) return found
  const session = sessionOf(found.service, place.endpoint)
  return { ...found, persist: sessionField(way.session, session, head.scheme) }
}

function there(
  way: Way,
  backend: Backend,
  place: Place,
  head: RequestHead,
  caller: string | undefined,
  pick: Fraction,
): Found {
  const service = backend.reach!.name
  const { version } = way
  const plain = { ...ofWay(way), service, ...place, ...backend.more }
  const found = version ? { ...plain, tell: (outcome: Told): void => version.tell(service, outcome, caller) } : plain
  const { filters } = backend
  return filters ? { ...found, ...filtered(way, filters, head, pick) } : found
}

const ofWay = ({ name, timeoutMs }: Way): Pick<Found, 'route' | 'timeoutMs'> => ({ route: name, timeoutMs })

/** A route that answers itself needs no service; nothing is ever sent here. */
const nowhere = { service: '', endpoint: { address: '', port: 0, identity: undefined } } as const

export const answersItself = ({ redirect, answer }: RouteFilters): boolean => (redirect ?? answer) !== undefined

/** What the route's filters come to for this request. */
function filtered(
  { match, mirrors }: Way,
  filters: RouteFilters,
  head: RequestHead,
  pick: Fraction,
): Pick<Found, 'filters' | 'prefix' | 'injected' | 'mirrors'> {
  const injected = filters.inject && injectedInto(head, filters.inject, pick)
  const copies = mirrors.flatMap(({ reach, share }) => {
    const place = pick() < share ? reach?.pick(head, undefined) : undefined
    return place ? { service: reach!.name, endpoint: place.endpoint } : []
  })
  return {
    filters,
    prefix: match.path.type === 'prefix' ? match.path.value : '/',
    ...(injected && { injected }),
    ...(copies.length > 0 && { mirrors: copies }),
  }
}

/** The same where the workload speaks what its caller does. */
export function foundAppRoute(listener: Extract<Listener, { direction: 'inbound' }>): FindRoute {
  const find = appRoute(listener)
  const overHttp2 = appRoute({ ...listener, app: { ...listener.app, protocol: 'h2c' } })
  return (head) => (isHead(head) && head.protocol === 'HTTP/2' ? overHttp2 : find)(head)
}

/** Requests at a port that is for one service, whatever host they name. */
export function requestsTo(found: () => Found | undefined): FindRoute {
  return () => {
    const one = found()
    return one && { ...one, timeoutMs: defaultTimeoutMs }
  }
}

/** Finds an endpoint of one service, by its name. */
export type FindService = (name: string) => () => Found | undefined

/** Outbound, where a port is for one service: the snapshot's routes say nothing of it. */
export function serviceRoute(
  snapshot: Pick<MeshSnapshot, 'services'>,
  name: string,
  pick: Fraction,
  watch: Pick<Watch, 'balance' | 'locality'>,
): () => Found | undefined {
  const service = snapshot.services.find((one) => one.name === name)
  const reach = service && reachOf(service, pick, watch)
  return () => {
    const place = reach?.pick(undefined, undefined)
    return place && { route: name, service: name, ...place, timeoutMs: 0 }
  }
}
