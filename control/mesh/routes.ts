/** Routes: HTTPRoutes of the mesh and of gateways, in Gateway API's order of precedence. */

import type { RouteFilters } from '../../core/filters.ts'
import type { Route } from '../../core/snapshot.ts'
import type { RouteFilterSpec } from './filters.ts'
import { type GatewaySpec, type HttpRouteRule, type HttpRouteSpec, isIngress, type RouteKind } from './gateway.ts'
import { meet, servedOf } from './hostnames.ts'
import { attachedTo, portKey, takes } from './ingress.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { type ParentRef, wrongService } from './refs.ts'
import { routeRetryOf } from './retry.ts'
import { backendFiltersOf, filtersOf } from './route-filters.ts'
import { byNarrowness, matchOf, repeatedIn } from './route-match.ts'
import type { KnownService } from './services.ts'
import { sessionOf } from './session.ts'
import { byText, durationMs } from './words.ts'

const defaultTimeoutMs = 15_000

interface Input {
  readonly routes: readonly Placed<HttpRouteSpec>[]
  readonly gateways: readonly Placed<GatewaySpec>[]
  readonly services: ReadonlyMap<string, KnownService>
  readonly routeFilters: readonly Placed<RouteFilterSpec>[]
}

/** A route with what decides between equals. */
interface Ranked {
  readonly route: Route
  readonly createdAt: string
  readonly owner: string
  readonly rule: number
  readonly match: number
  /** The port of a gateway where it holds. Default in the mesh. */
  readonly entry?: string
}

export function resolveRoutes(input: Input): {
  /** Those of the mesh. */
  readonly routes: readonly Route[]
  /** Those of gateways for callers from outside, by `portKey`. */
  readonly entered: ReadonlyMap<string, readonly Route[]>
  readonly problems: Problem[]
} {
  const problems: Problem[] = []
  const ranked: Ranked[] = []
  const routed = new Set<string>() // Services that have an HTTPRoute of their own.
  for (const placed of input.routes) {
    const { mesh, entries } = hostsOf(placed, input, routed, problems)
    for (const [index, rule] of placed.spec.rules.entries()) {
      const filters = filtersOf(placed, ['spec', 'rules', index], rule, input, problems)
      checkRule(placed, index, rule, filters, input, problems)
      const session = sessionOf(placed, index, rule, problems)
      const backends = (rule.backendRefs ?? []).map((ref, at) => {
        const path: Path = ['spec', 'rules', index, 'backendRefs', at, 'filters']
        const own = backendFiltersOf(placed, path, ref.filters, problems)
        return { service: ref.name, weight: ref.weight ?? 1, ...(own && { filters: own }) }
      })
      for (const [at, match] of (rule.matches ?? [{}]).entries()) {
        for (const [field, twice, name] of repeatedIn(match)) {
          const path: Path = ['spec', 'rules', index, 'matches', at, field, twice, 'name']
          problems.push(problemAt(placed, path, `${name} is matched twice`, 'keep one of the two'))
        }
        const route: Route = {
          name: `${placed.name}/${rule.name ?? index}/${at}`,
          hosts: mesh ?? [],
          match: matchOf(match),
          backends,
          ...(session && { session }),
          timeoutMs: rule.timeouts?.request === undefined ? defaultTimeoutMs : durationMs(rule.timeouts.request),
          ...attemptsOf(rule),
          ...(filters && { filters }),
        }
        const rank = { createdAt: ageOf(placed.createdAt), owner: placed.name, rule: index, match: at }
        if (mesh) ranked.push({ route, ...rank })
        for (const [entry, hosts] of entries) ranked.push({ route: { ...route, hosts }, ...rank, entry })
      }
    }
  }
  for (const [name, { service }] of input.services) {
    if (!routed.has(name)) ranked.push({ route: defaultRoute(name, service.hosts), ...last, owner: name })
  }
  const routes: Route[] = []
  const entered = new Map<string, Route[]>()
  for (const { route, entry } of ranked.sort(byPrecedence)) {
    if (entry === undefined) routes.push(route)
    else entered.set(entry, [...(entered.get(entry) ?? []), route])
  }
  return { routes, entered, problems }
}

/** What a rule says of single attempts. */
const attemptsOf = ({ timeouts, retry }: HttpRouteRule): Pick<Route, 'tryMs' | 'retry'> => ({
  ...(timeouts?.backendRequest !== undefined && { tryMs: durationMs(timeouts.backendRequest) }),
  ...(retry && { retry: routeRetryOf(retry) }),
})

const last = { createdAt: '~', rule: 0, match: 0 }

/** A time as text that sorts; a route without one counts as the youngest. */
const ageOf = (createdAt: string | undefined): string =>
  createdAt === undefined ? last.createdAt : new Date(createdAt).toISOString()

const defaultRoute = (name: string, hosts: readonly string[]): Route => ({
  name: `${name}/default`,
  hosts,
  match: { path: { type: 'prefix', value: '/' } },
  backends: [{ service: name, weight: 1 }],
  timeoutMs: defaultTimeoutMs,
})

/** The narrower match; then age, name, order in the route (Gateway API HTTPRouteRule). */
function byPrecedence(a: Ranked, b: Ranked): number {
  return (
    byNarrowness(a.route.match, b.route.match) ||
    byText(a.createdAt, b.createdAt) ||
    byText(a.owner, b.owner) ||
    a.rule - b.rule ||
    a.match - b.match
  )
}

/** The host names of everything that the route is attached to: in the mesh, if it is at all, and at ports of gateways. */
function hostsOf(
  placed: Placed<HttpRouteSpec>,
  { services, gateways }: Input,
  routed: Set<string>,
  problems: Problem[],
): { readonly mesh: readonly string[] | undefined; readonly entries: ReadonlyMap<string, readonly string[]> } {
  const { parentRefs, hostnames } = placed.spec
  const hosts = new Set<string>()
  const entries = new Map<string, readonly string[]>()
  let inMesh = false
  for (const [index, parent] of parentRefs.entries()) {
    const path: Path = ['spec', 'parentRefs', index]
    const names = parent.kind === 'Service' ? ofService(parent, services) : ofGateway(parent, gateways, kindOf(placed))
    if ('problem' in names) {
      problems.push(problemAt(placed, [...path, names.field], names.problem, names.cure))
      continue
    }
    if (parent.kind === 'Service') {
      inMesh = true
      routed.add(parent.name)
      for (const host of names.hosts) hosts.add(host)
      if (hostnames) {
        const problem = 'host names say nothing on a route of a Service (GAMMA)'
        problems.push(
          problemAt(placed, ['spec', 'hostnames'], problem, 'remove them, or attach the route to a Gateway'),
        )
      }
    } else {
      const gateway = gateways.find(({ name }) => name === parent.name)!
      if (isIngress(gateway)) {
        for (const { hostname, port } of attachedTo(gateway, parent.sectionName, kindOf(placed))) {
          const served = servedOf(hostname, hostnames)
          if (served.length === 0) continue
          const key = portKey(gateway.name, port)
          entries.set(key, [...new Set([...(entries.get(key) ?? []), ...served])].sort(byText))
        }
      } else inMesh = true
      for (const host of isIngress(gateway) ? [] : names.hosts) {
        for (const served of servedOf(host, hostnames)) hosts.add(served)
      }
      for (const [at, host] of (hostnames ?? []).entries()) {
        if (names.hosts.some((one) => meet(one, host) !== undefined)) continue
        const problem = `no listener of Gateway ${parent.name} has ${host}`
        problems.push(problemAt(placed, ['spec', 'hostnames', at], problem, 'add a listener with this hostname'))
      }
    }
  }
  return { mesh: inMesh || entries.size === 0 ? [...hosts].sort(byText) : undefined, entries }
}

/** A GRPCRoute is resolved as the HTTPRoute that it comes to, under its own label. */
const kindOf = ({ label }: Placed<HttpRouteSpec>): RouteKind =>
  label.startsWith('GRPCRoute/') ? 'GRPCRoute' : 'HTTPRoute'

type Names =
  | { readonly hosts: readonly string[] }
  | { readonly field: string; readonly problem: string; readonly cure: string }

function ofService(parent: ParentRef, services: Input['services']): Names {
  if (parent.group !== '' && parent.group !== 'core') {
    return { field: 'group', problem: 'a Service is of the core group', cure: 'write group: ""' }
  }
  if (parent.sectionName !== undefined) {
    return { field: 'sectionName', problem: 'a Service has no sections', cure: 'remove it' }
  }
  return wrongService(parent, services) ?? { hosts: services.get(parent.name)!.service.hosts }
}

function ofGateway(parent: ParentRef, gateways: Input['gateways'], kind: RouteKind): Names {
  if (parent.group !== undefined && parent.group !== 'gateway.networking.k8s.io') {
    return { field: 'group', problem: 'a Gateway is not of this group', cure: 'remove it, or write kind: Service' }
  }
  const gateway = gateways.find((it) => it.name === parent.name)
  if (!gateway) {
    const cure = 'add it, or write kind: Service and group: ""'
    return { field: 'name', problem: `there is no Gateway ${parent.name}`, cure }
  }
  if (parent.port !== undefined) {
    return { field: 'port', problem: 'is not supported on a Gateway', cure: 'name the listener in sectionName' }
  }
  const listeners = gateway.spec.listeners.filter((it) => (parent.sectionName ?? it.name) === it.name)
  if (listeners.length > 0 && !listeners.some((one) => takes(one, kind))) {
    const problem = `${gateway.label} takes no ${kind} there: allowedRoutes.kinds says which`
    return { field: 'name', problem, cure: `add kind: ${kind} to allowedRoutes of the listener, or name another one` }
  }
  if (listeners.length > 0) return { hosts: listeners.map((it) => it.hostname) }
  const problem = `${gateway.label} has no listener ${parent.sectionName}`
  return { field: 'sectionName', problem, cure: 'correct the name' }
}

function checkRule(
  placed: Placed<HttpRouteSpec>,
  index: number,
  rule: HttpRouteRule,
  filters: RouteFilters | undefined,
  { services }: Input,
  problems: Problem[],
): void {
  const path: Path = ['spec', 'rules', index]
  if (rule.name !== undefined && placed.spec.rules.findIndex((it) => it.name === rule.name) < index) {
    problems.push(problemAt(placed, [...path, 'name'], `${rule.name} names two rules`, 'give each rule its own name'))
  }
  if (rule.name !== undefined && /^[0-9]+$/.test(rule.name)) {
    problems.push(problemAt(placed, [...path, 'name'], 'is a number, like the rules without a name', 'use a word'))
  }
  const backendRefs = rule.backendRefs ?? []
  for (const [at, ref] of backendRefs.entries()) {
    const wrong = wrongService(ref, services)
    if (wrong) problems.push(problemAt(placed, [...path, 'backendRefs', at, wrong.field], wrong.problem, wrong.cure))
  }
  const { request, backendRequest } = rule.timeouts ?? {}
  if (backendRequest !== undefined && request !== undefined && durationMs(request) > 0) {
    if (durationMs(backendRequest) > durationMs(request)) {
      const problem = 'is longer than the whole request may take'
      problems.push(problemAt(placed, [...path, 'timeouts', 'backendRequest'], problem, `write ${request} or less`))
    }
  }
  if (backendRequest !== undefined && durationMs(backendRequest) === 0) {
    problems.push(
      problemAt(placed, [...path, 'timeouts', 'backendRequest'], 'is no time', 'write 1ms or more, or leave it out'),
    )
  }
  if ((filters?.redirect || filters?.answer) && backendRefs.length > 0) {
    const problem = 'are never asked, since a filter answers'
    problems.push(problemAt(placed, [...path, 'backendRefs'], problem, 'remove them, or the filter'))
  } else if (backendRefs.length === 0 && !filters?.redirect && !filters?.answer) {
    problems.push(problemAt(placed, path, 'has no backendRefs', 'add one, or a filter that answers'))
  } else if (backendRefs.length > 0 && backendRefs.every((ref) => ref.weight === 0)) {
    problems.push(problemAt(placed, [...path, 'backendRefs'], 'has no weight above 0', 'give one backend a weight'))
  }
}
