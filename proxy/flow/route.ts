/** Where a request would go. The snapshot holds routes in order of precedence, so the first that matches wins. */

import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { Outcome } from '../../core/outcome.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { Endpoint, Listener, MeshSnapshot, Route, RouteMatch, Service } from '../../core/snapshot.ts'
import type { Balancer } from '../balance/balancer.ts'
import { fieldOf, isHead } from '../exchange.ts'

export interface Found {
  /** Name of the route, or of the service where no route spoke. */
  readonly route: string
  readonly service: string
  readonly endpoint: Endpoint
  /** Time for the whole exchange, in milliseconds; 0 is none. */
  readonly timeoutMs: number
  /** What is asked about requests of this route, in place of the listener's own policy. Default that. */
  readonly policy?: PolicyUse
  /** Says that the request goes there, where somebody counts; what it gives is told the outcome. Default nobody does. */
  readonly begin?: () => (outcome: Outcome) => void
}

export type FindRoute = (head: RequestHead | HeadFault) => Found | undefined

/** A number from 0 up to 1, for weights. */
export type Fraction = () => number

/** Time for a call to a service that no route speaks of, in milliseconds: the default of `Route.timeoutMs`. */
const defaultTimeoutMs = 15_000

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
  return (head) => (isHead(head) && routes.find(({ match }) => matches(match, head))?.found) || found
}

/** The workload itself. The caller's side keeps the time. */
export const appOf = ({ service, app }: Extract<Listener, { direction: 'inbound' }>): Found => ({
  route: service,
  service,
  endpoint: { ...app, identity: undefined },
  timeoutMs: 0,
})

/**
 * Outbound: the host picks the routes, exactly and without its port; then each route's match is asked in order. A host
 * that no route names goes to the service of that host. A host whose routes all decline, a service without endpoints and
 * backends without weight find nothing. `balance` chooses among several endpoints; default one after the other.
 */
export function routesOf(
  snapshot: Pick<MeshSnapshot, 'services' | 'routes'>,
  pick: Fraction,
  balance?: (service: Service) => Balancer,
): FindRoute {
  const spoken = snapshot.services.filter(({ protocol }) => protocol === undefined)
  const services = new Map(
    spoken.map((service) => [
      service.name,
      balance && service.endpoints.length > 1 ? balance(service) : rotation(service),
    ]),
  )
  const byHost = new Map<string, Route[]>()
  for (const route of snapshot.routes) {
    for (const host of route.hosts) byHost.set(host, [...(byHost.get(host) ?? []), route])
  }
  const hosts = new Map(spoken.flatMap((service) => service.hosts.map((host) => [host, service.name])))

  return (head) => {
    if (!isHead(head)) return undefined
    const host = hostOf(head.authority)
    const routes = byHost.get(host)
    const service = hosts.get(host)
    if (!routes) return service === undefined ? undefined : to(service, service, defaultTimeoutMs)
    const route = routes.find(({ match }) => matches(match, head))
    const backend = route && weighted(route.backends, pick)
    return backend === undefined ? undefined : to(route!.name, backend, route!.timeoutMs)
  }

  function to(route: string, service: string, timeoutMs: number): Found | undefined {
    const of = services.get(service)
    if (typeof of !== 'object') {
      const endpoint = of?.()
      return endpoint && { route, service, endpoint, timeoutMs }
    }
    const member = of.pick()
    return member && { route, service, endpoint: member.endpoint, timeoutMs, begin: () => of.begin(member) }
  }
}

/** Outbound, where a port is for one service: the snapshot's routes say nothing of it. */
export function serviceRoute(snapshot: Pick<MeshSnapshot, 'services'>, name: string): () => Found | undefined {
  const service = snapshot.services.find((one) => one.name === name)
  const next = service && rotation(service)
  return () => {
    const endpoint = next?.()
    return endpoint && { route: name, service: name, endpoint, timeoutMs: 0 }
  }
}

/** The service's endpoints one after the other. */
function rotation({ endpoints }: Service): () => Endpoint | undefined {
  let next = 0
  return () => {
    const endpoint = endpoints[next]
    next = next + 1 < endpoints.length ? next + 1 : 0
    return endpoint
  }
}

/** A port does not change which service is meant (Gateway API, HTTPRoute hostnames). */
function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(':')
  return colon < 0 || authority.endsWith(']') ? authority : authority.slice(0, colon)
}

function matches(match: RouteMatch, head: RequestHead): boolean {
  if (match.method !== undefined && match.method !== head.method) return false
  if (match.path.type === 'exact' ? head.path !== match.path.value : !underPrefix(head.path, match.path.value)) {
    return false
  }
  for (const name in match.headers) {
    if (fieldOf(head, name) !== match.headers[name]) return false
  }
  return true
}

/** By whole segments: `/a` holds `/a` and `/a/b`, not `/ab`; a slash at the prefix's end means nothing. */
function underPrefix(path: string, prefix: string): boolean {
  const bare = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  return path.startsWith(bare) && (path.length === bare.length || path.charCodeAt(bare.length) === 47)
}

function weighted(backends: Route['backends'], pick: Fraction): string | undefined {
  if (backends.length === 1) return backends[0]!.weight > 0 ? backends[0]!.service : undefined
  const total = backends.reduce((sum, { weight }) => sum + weight, 0)
  let left = pick() * total
  for (const { service, weight } of backends) {
    if (weight > 0 && left < weight) return service
    left -= weight
  }
  return undefined
}
