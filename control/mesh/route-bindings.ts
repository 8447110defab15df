/**
 * Policies that are bound to routes. A route is judged where it arrives: at the inbound listeners of the workloads that
 * serve its backends, by its path, method and headers. Its hosts say nothing there, since a caller may write any.
 */

import type { PolicyUse } from '../../core/policy.ts'
import type { Endpoint, Route, RouteMatch, RoutePolicy } from '../../core/snapshot.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import { type GatewaySpec, type HttpRouteSpec, isIngress } from './gateway.ts'
import type { PolicyBindingSpec, WorkloadSpec } from './kinds.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import type { KnownService } from './services.ts'
import { identityOf, serviceOf } from './workloads.ts'

export interface RouteWorld {
  readonly trustDomain: TrustDomain
  readonly workloads: readonly Placed<WorkloadSpec>[]
  readonly services: ReadonlyMap<string, KnownService>
  readonly routes: readonly Placed<HttpRouteSpec>[]
  /** What the routes came to, in order of precedence. */
  readonly resolved: readonly Route[]
  readonly gateways: readonly Placed<GatewaySpec>[]
  readonly externals: readonly Placed<unknown>[]
}

/** A binding and where it names its target. */
export interface Bound {
  readonly binding: Placed<PolicyBindingSpec>
  readonly path: Path
  readonly use: PolicyUse
}

/** What is wrong with a target, and what to do about it. */
export interface Wrong {
  readonly field: 'group' | 'name' | 'sectionName'
  readonly problem: string
  readonly cure: string
}

type Target = PolicyBindingSpec['targetRefs'][number]

/** The binding of a rule of an HTTPRoute. */
export type BoundOf = (route: string, rule: string) => Bound | undefined

export function wrongRoute({ kind, group, name, sectionName }: Target, world: RouteWorld): Wrong | undefined {
  if (group !== 'gateway.networking.k8s.io') {
    const problem = 'a route is of the group gateway.networking.k8s.io'
    return { field: 'group', problem, cure: 'write group: gateway.networking.k8s.io' }
  }
  const route = world.routes.find((it) => it.name === name && it.label.startsWith(kind))
  if (!route) return { field: 'name', problem: `there is no ${kind} ${name}`, cure: 'add it, or correct the name' }
  const named = route.spec.rules.flatMap((rule) => rule.name ?? [])
  if (sectionName !== undefined && !named.includes(sectionName)) {
    const cure = named.length > 0 ? `one of ${named.slice(0, 8).join(', ')}` : 'give the rule a name'
    return { field: 'sectionName', problem: `${route.label} has no rule named ${sectionName}`, cure }
  }
  if (entersBy(route, world)) return undefined
  const ways = world.resolved.filter((way) => {
    const of = partsOf(way)
    return of?.owner === name && (sectionName === undefined || of.rule === sectionName)
  })
  if (world.workloads.some((workload) => ways.some((way) => leadsTo(way, workload, world)))) return undefined
  const problem = `no workload with an inbound listener here serves what ${route.label} leads to`
  return { field: 'name', problem, cure: 'bind it where its backends are served, or name a Workload' }
}

/** Whether a gateway for callers from outside has the route: then it is judged there too. */
const entersBy = ({ spec }: Placed<HttpRouteSpec>, { gateways, workloads }: RouteWorld): boolean =>
  spec.parentRefs.some(
    (parent) =>
      parent.kind !== 'Service' &&
      gateways.some((one) => one.name === parent.name && isIngress(one)) &&
      workloads.some((workload) => workload.spec.gateway?.name === parent.name),
  )

export function wrongGateway({ group, name, sectionName }: Target, world: RouteWorld): Wrong | undefined {
  if (group !== 'gateway.networking.k8s.io') {
    const problem = 'a Gateway is of the group gateway.networking.k8s.io'
    return { field: 'group', problem, cure: 'write group: gateway.networking.k8s.io' }
  }
  const gateway = world.gateways.find((one) => one.name === name)
  if (!gateway) return { field: 'name', problem: `there is no Gateway ${name}`, cure: 'add it, or correct the name' }
  if (!isIngress(gateway)) {
    const problem = `${gateway.label} is for outbound listeners, which judge nothing`
    return { field: 'name', problem, cure: 'bind what serves the calls, or give it the class writ-ingress' }
  }
  if (sectionName !== undefined) {
    const cure = 'leave it out, and bind the HTTPRoutes that are to have another policy'
    return { field: 'sectionName', problem: 'a listener of a Gateway is not bound by itself', cure }
  }
  return undefined
}

/**
 * What is asked about each route of a workload, in order of precedence. Routes that nobody bound stand among them, so that
 * no broader one takes their requests. Empty where no route is bound.
 */
export function routePoliciesOf(
  workload: Placed<WorkloadSpec>,
  world: RouteWorld,
  boundOf: BoundOf,
): { readonly routes: readonly RoutePolicy[]; readonly problems: Problem[] } {
  const problems: Problem[] = []
  const ways: { readonly way: Route; readonly bound: Bound | undefined }[] = []
  for (const way of world.resolved) {
    const parts = partsOf(way)
    if (!parts || !leadsTo(way, workload, world)) continue
    const bound = boundOf(parts.owner, parts.rule)
    if (arrivesAsMatched(way)) ways.push({ way, bound })
    else if (bound) problems.push(arrivesChanged(way, bound))
  }
  for (const [index, { way, bound }] of ways.entries()) {
    const { headers, headerPatterns, query, queryPatterns } = way.match
    if (bound && (headers ?? headerPatterns)) problems.push(byCallersWord(way, 'a header', bound))
    if (bound && (query ?? queryPatterns)) problems.push(byCallersWord(way, 'the query', bound))
    const rival = ways.slice(0, index).find((other) => contradicts(other, { way, bound }))
    const blamed = bound ?? rival?.bound
    if (rival && blamed) problems.push(contradiction(workload, rival.way, way, blamed))
  }
  const last = ways.findLastIndex(({ bound }) => bound !== undefined)
  const routes = ways
    .slice(0, last + 1)
    .map(({ way, bound }) => ({ route: way.name, match: way.match, policy: bound?.use }))
  return { routes, problems }
}

/** `orders/admin/0`: of which HTTPRoute, which rule. The default route of a service is nobody's. */
export function partsOf({ name }: Route): { readonly owner: string; readonly rule: string } | undefined {
  const [owner, rule, match] = name.split('/')
  return owner !== undefined && rule !== undefined && match !== undefined ? { owner, rule } : undefined
}

export function leadsTo(
  { backends }: Route,
  workload: Placed<WorkloadSpec>,
  { services, trustDomain }: RouteWorld,
): boolean {
  if (!workload.spec.inbound) return false
  const id = identityOf(workload, trustDomain)
  const isIt = ({ identity }: Endpoint): boolean => identity === id // A Service may name its workloads itself.
  return backends.some(
    ({ service }) => service === serviceOf(workload) || (services.get(service)?.service.endpoints ?? []).some(isIt),
  )
}

/** Whether the other side can tell a request of this route by what the route matches. */
export function arrivesAsMatched({ match, filters, backends }: Route): boolean {
  const { rewrite, redirect, answer } = filters ?? {}
  if (rewrite?.path || redirect || answer) return false
  const told = Object.keys({ ...match.headers, ...match.headerPatterns })
  const changed = [filters, ...backends.map((one) => one.filters)].flatMap((one) => {
    const { set, add, remove } = one?.request ?? {}
    return [...Object.keys({ ...set, ...add }), ...(remove ?? [])]
  })
  return !told.some((name) => changed.includes(name))
}

function arrivesChanged(way: Route, { binding, path }: Bound): Problem {
  const problem = `requests of route ${way.name} arrive changed by its own filters, and are not told by its match there`
  return problemAt(binding, [...path, 'name'], problem, 'bind the Workload or its Service, or take the filter out')
}

const textOf = ({ path, method, ...more }: RouteMatch): string => {
  const { headers, headerPatterns, query, queryPatterns } = more
  const sorted = [headers, headerPatterns, query, queryPatterns].map((one) => Object.entries(one ?? {}).sort())
  return JSON.stringify([path.type, path.value, method, sorted])
}

/** The same requests under other hosts, and not the same policy: which is asked would be the caller's choice. */
const contradicts = (
  a: { readonly way: Route; readonly bound: Bound | undefined },
  b: { readonly way: Route; readonly bound: Bound | undefined },
): boolean =>
  a.bound?.binding !== b.bound?.binding &&
  textOf(a.way.match) === textOf(b.way.match) &&
  a.way.hosts.join(' ') !== b.way.hosts.join(' ')

function contradiction(workload: Placed<unknown>, a: Route, b: Route, { binding, path }: Bound): Problem {
  const problem = `at ${workload.label} the routes ${a.name} and ${b.name} differ by their hosts alone, and a caller may write any`
  return problemAt(binding, [...path, 'name'], problem, 'bind both to one policy, or give them other paths')
}

function byCallersWord(way: Route, word: string, { binding, path }: Bound): Problem {
  const problem = `route ${way.name} is told by ${word}, so a caller chooses by it which policy is asked`
  const cure = 'tell it by its path, unless both policies may be asked about anything'
  return problemAt(binding, [...path, 'name'], problem, cure, 'warning')
}
