/** Where a request would go. The snapshot holds routes in order of precedence, so the first that matches wins. */

import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { Outcome } from '../../core/outcome.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { Endpoint, Listener, MeshSnapshot, Route, Service } from '../../core/snapshot.ts'
import type { KeyPlace } from '../../core/traffic.ts'
import type { Balancer } from '../balance/balancer.ts'
import type { Circuit } from '../balance/breaker.ts'
import { saidOf } from '../balance/member.ts'
import { isHead } from '../exchange.ts'
import { keyAt } from '../limit/key.ts'
import { matches } from './match.ts'

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
  /** Asked from outside of the mesh: what the caller says of hops before it is replaced by what is seen. Default not. */
  readonly fromOutside?: true
  /**
   * Says that the request goes there, where somebody counts; what it gives is told the outcome. Undefined where the
   * service is not to be asked, since it keeps failing. Default nobody counts.
   */
  readonly begin?: () => ((outcome: Outcome) => void) | undefined
}

/** `caller`: by whom an endpoint may be chosen. */
export type FindRoute = (head: RequestHead | HeadFault, caller?: string) => Found | undefined

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
 * `circuit` is asked once for each service that has a breaker; default none is watched.
 */
export function routesOf(
  snapshot: Pick<MeshSnapshot, 'services' | 'routes'>,
  pick: Fraction,
  balance?: (service: Service) => Balancer,
  circuit?: (service: Service) => Circuit | undefined,
): FindRoute {
  const spoken = snapshot.services.filter(({ protocol }) => protocol === undefined)
  const services = new Map(
    spoken.map((service) => [
      service.name,
      {
        next: rotation(service),
        balancer: balance && service.endpoints.length > 1 ? balance(service) : undefined,
        circuit: circuit?.(service),
        hashOn: hashOnOf(service),
        more: service.connect ? ({ connect: true } as const) : undefined,
      },
    ]),
  )
  const byHost = new Map<string, Route[]>()
  for (const route of snapshot.routes) {
    for (const host of route.hosts) byHost.set(host, [...(byHost.get(host) ?? []), route])
  }
  const hosts = new Map(spoken.flatMap((service) => service.hosts.map((host) => [host, service.name])))

  return (head, caller) => {
    if (!isHead(head)) return undefined
    const host = hostOf(head.authority)
    const routes = byHost.get(host)
    const service = hosts.get(host)
    if (!routes) return service === undefined ? undefined : to(service, service, defaultTimeoutMs, head, caller)
    const route = routes.find(({ match }) => matches(match, head))
    const backend = route && weighted(route.backends, pick)
    return backend === undefined ? undefined : to(route!.name, backend, route!.timeoutMs, head, caller)
  }

  function to(
    route: string,
    service: string,
    timeoutMs: number,
    head: RequestHead,
    caller: string | undefined,
  ): Found | undefined {
    const of = services.get(service)
    if (!of) return undefined
    const { balancer, circuit, hashOn, more } = of
    const member = balancer?.pick(hashOn && keyAt(hashOn, head, caller))
    const endpoint = balancer ? member?.endpoint : of.next()
    if (!endpoint) return undefined
    if (!member && !circuit) return { route, service, endpoint, timeoutMs, ...more }
    const counted = member && (() => balancer!.begin(member))
    return { route, service, endpoint, timeoutMs, ...more, begin: circuit ? () => guarded(circuit, counted) : counted! }
  }
}

/** Passes where the circuit lets it, and tells it and the balancer how the request ended. */
function guarded(
  circuit: Circuit,
  begin: (() => (outcome: Outcome) => void) | undefined,
): ((outcome: Outcome) => void) | undefined {
  const over = circuit.admit()
  if (!over) return undefined
  const ended = begin?.()
  return (outcome) => {
    over(saidOf(outcome))
    ended?.(outcome)
  }
}

const hashOnOf = ({ traffic }: Service): KeyPlace | undefined =>
  traffic?.balance && 'hashOn' in traffic.balance ? traffic.balance.hashOn : undefined

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
export function rotation({ endpoints }: Pick<Service, 'endpoints'>): () => Endpoint | undefined {
  let next = 0
  return () => {
    const endpoint = endpoints[next]
    next = next + 1 < endpoints.length ? next + 1 : 0
    return endpoint
  }
}

/** A port does not change which service is meant (Gateway API, HTTPRoute hostnames). */
export function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(':')
  return colon < 0 || authority.endsWith(']') ? authority : authority.slice(0, colon)
}

export function weighted(backends: Route['backends'], pick: Fraction): string | undefined {
  if (backends.length === 1) return backends[0]!.weight > 0 ? backends[0]!.service : undefined
  const total = backends.reduce((sum, { weight }) => sum + weight, 0)
  let left = pick() * total
  for (const { service, weight } of backends) {
    if (weight > 0 && left < weight) return service
    left -= weight
  }
  return undefined
}
