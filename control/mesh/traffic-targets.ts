/** What traffic policies come to: for each service what its callers do, and for each inbound listener what it takes. */

import type { Sha256 } from '../../core/ports.ts'
import type { Accepts, ListenerLimits, Route, Service, Workload } from '../../core/snapshot.ts'
import type { RateLimit, ServiceTraffic } from '../../core/traffic.ts'
import { keyOf, textOf, wrongTarget } from './bindings.ts'
import type { HttpRouteSpec } from './gateway.ts'
import type { IngressWorld } from './ingress.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { arrivesAsMatched, leadsTo, partsOf, type RouteWorld } from './route-bindings.ts'
import type { SourcesSpec } from './sources.ts'
import type { TargetRef } from './target-refs.ts'
import { tcpServices } from './tcp.ts'
import { type AcceptsSpec, hashes, placeOf, rateLimitOf, serviceTrafficOf, type TrafficPolicySpec } from './traffic.ts'
import { canaryOf, canaryProblems } from './versions.ts'
import { durationMs } from './words.ts'
import { serviceOf } from './workloads.ts'

interface TrafficInput extends RouteWorld {
  readonly sha256: Sha256
  /** What the routes of gateways came to. */
  readonly entered: Iterable<readonly Route[]>
  readonly traffic: readonly Placed<TrafficPolicySpec>[]
}

type Attached = Placed<TrafficPolicySpec>

export function resolveTraffic(input: TrafficInput): {
  /** By service. */
  readonly traffic: ReadonlyMap<string, ServiceTraffic>
  /** By workload. */
  readonly limits: ReadonlyMap<string, ListenerLimits>
  /** Routes with what policies say of them, in the same order. */
  readonly governed: (routes: readonly Route[]) => readonly Route[]
  readonly limitsOf: IngressWorld['limitsOf']
  readonly sourcesOf: (kind: 'Workload' | 'Service' | 'Gateway', name: string) => SourcesSpec | undefined
  readonly problems: Problem[]
} {
  const problems: Problem[] = []
  /** By target; one for each. */
  const attached = new Map<string, Attached>()
  const tcp = tcpServices(input.workloads)
  for (const policy of input.traffic) {
    problems.push(...checkPolicy(policy))
    for (const [index, target] of policy.spec.targetRefs.entries()) {
      const path: Path = ['spec', 'targetRefs', index]
      const outside = target.kind === 'Service' && !policy.spec.limits && input.services.has(target.name)
      const wrong = outside ? undefined : wrongTarget(target, input)
      if (wrong) problems.push(problemAt(policy, [...path, wrong.field], wrong.problem, wrong.cure))
      if (target.kind !== 'Service' && serviceTrafficOf(policy.spec)) {
        const problem = `only limits and sources are of a ${target.kind}: endpoints, circuits, retries and timeouts are of a Service`
        problems.push(problemAt(policy, [...path, 'kind'], problem, 'attach the rest to the Service'))
      }
      if (target.kind !== 'HTTPRoute' && policy.spec.sticky) {
        const problem = `only an HTTPRoute has several backends to be sticky to, not a ${target.kind}`
        problems.push(
          problemAt(policy, [...path, 'kind'], problem, 'take sticky out, or choose by loadBalancer.hashOn'),
        )
      }
      if (target.kind === 'Service' && tcp.has(target.name) && serviceTrafficOf(policy.spec)) {
        const problem = `${target.name} speaks tcp, and only requests are spread and watched`
        problems.push(problemAt(policy, [...path, 'name'], problem, 'take it out'))
      }
      if (policy.spec.sources && !['Workload', 'Service', 'Gateway'].includes(target.kind)) {
        const problem = `sources are told before anything is read, so they are of a listener and not of a ${target.kind}`
        problems.push(
          problemAt(policy, [...path, 'kind'], problem, 'attach them to the Workload, its Service or the Gateway'),
        )
      }
      if (policy.spec.canary) {
        const ways = [...input.resolved, ...[...input.entered].flat()]
        const wrong = canaryProblems(policy.spec.canary, target, ways)
        if (wrong)
          problems.push(
            problemAt(policy, wrong.of === 'target' ? [...path, 'kind'] : wrong.path, wrong.problem, wrong.cure),
          )
      }
      const other = attached.get(keyOf(target))
      if (other) {
        const problem = `${textOf(target)} has ${other.label} already`
        problems.push(problemAt(policy, [...path, 'name'], problem, 'keep one, and say in it what holds there'))
      } else attached.set(keyOf(target), policy)
    }
  }

  const traffic = new Map<string, ServiceTraffic>()
  for (const name of input.services.keys()) {
    const spec = attached.get(keyOf({ kind: 'Service', name }))?.spec
    const of = spec && serviceTrafficOf(spec)
    if (of) traffic.set(name, of)
  }
  const limits = new Map<string, ListenerLimits>()
  for (const workload of input.workloads) {
    if (!workload.spec.inbound) continue
    const [own, ofService] = [
      attached.get(keyOf({ kind: 'Workload', name: workload.name })),
      attached.get(keyOf({ kind: 'Service', name: serviceOf(workload) })),
    ]
    const all = limitsOf(own) ?? limitsOf(ofService) ?? []
    const accepts = own?.spec.accepts ?? ofService?.spec.accepts
    const routes = input.resolved.filter(
      (way) => partsOf(way) && leadsTo(way, workload, input) && arrivesAsMatched(way),
    )
    const of = together(all, accepts, routes, attached)
    if (!of) continue
    if (workload.spec.inbound.app.appProtocol === 'tcp') problems.push(countsNothing(workload))
    limits.set(workload.name, of)
  }
  const governed = (routes: readonly Route[]): readonly Route[] =>
    routes.map((way) => ({ ...way, ...ofRoute(way, attached, input.sha256), ...timeoutOf(way, input.routes, traffic) }))
  const ofGateway: IngressWorld['limitsOf'] = (name, routes) =>
    together(
      limitsOf(attached.get(keyOf({ kind: 'Gateway', name }))) ?? [],
      attached.get(keyOf({ kind: 'Gateway', name }))?.spec.accepts,
      routes,
      attached,
    )
  const sourcesOf = (kind: TargetRef['kind'], name: string): SourcesSpec | undefined =>
    attached.get(keyOf({ kind, name }))?.spec.sources
  return { traffic, limits, limitsOf: ofGateway, sourcesOf, governed, problems }
}

/** Those of a listener, and of its routes in order of precedence. Undefined where there are none. */
function together(
  all: readonly RateLimit[],
  accepts: AcceptsSpec | undefined,
  routes: readonly Route[],
  attached: ReadonlyMap<string, Attached>,
): ListenerLimits | undefined {
  const ways = routes.flatMap((way) => {
    const parts = partsOf(way)
    if (!parts) return []
    const { owner, rule } = parts
    const section = attached.get(keyOf({ kind: 'HTTPRoute', name: owner, sectionName: rule }))
    const of = limitsOf(section) ?? limitsOf(attached.get(keyOf({ kind: 'HTTPRoute', name: owner }))) ?? []
    const taken = section?.spec.accepts ?? attached.get(keyOf({ kind: 'HTTPRoute', name: owner }))?.spec.accepts
    return [{ route: way.name, match: way.match, limits: of, ...(taken && { accepts: acceptsOf(taken) }) }]
  })
  // Routes without limits stand among them, so that no broader one counts their requests.
  const last = ways.findLastIndex((way) => way.limits.length > 0 || 'accepts' in way)
  const ofRoutes = ways.slice(0, last + 1)
  return all.length === 0 && !accepts && ofRoutes.length === 0
    ? undefined
    : { all, ...(accepts && { accepts: acceptsOf(accepts) }), ...(ofRoutes.length > 0 && { routes: ofRoutes }) }
}

const acceptsOf = ({ methods, maxBodyBytes }: AcceptsSpec): Accepts => ({
  ...(methods && { methods }),
  ...(maxBodyBytes !== undefined && { bodyBytes: maxBodyBytes }),
})

function ofRoute(
  way: Route,
  attached: ReadonlyMap<string, Attached>,
  sha256: Sha256,
): Pick<Route, 'sticky' | 'canary'> {
  const parts = partsOf(way)
  if (!parts) return {}
  const { owner, rule } = parts
  const section = attached.get(keyOf({ kind: 'HTTPRoute', name: owner, sectionName: rule }))?.spec
  const whole = attached.get(keyOf({ kind: 'HTTPRoute', name: owner }))?.spec
  const sticky = section?.sticky ?? whole?.sticky
  const spec = section?.canary ?? whole?.canary
  const canary = spec && canaryOf(spec, way, sha256)
  return { ...(sticky && { sticky: placeOf(sticky) }), ...(canary && { canary }) }
}

/** What the rule says itself; else what its services say, of several the longest. */
function timeoutOf(
  way: Route,
  routes: readonly Placed<HttpRouteSpec>[],
  traffic: ReadonlyMap<string, ServiceTraffic>,
): Pick<Route, 'timeoutMs'> | undefined {
  const parts = partsOf(way)
  const spec = parts && routes.find(({ name }) => name === parts.owner)?.spec
  const rule = spec?.rules.find((one, index) => (one.name ?? String(index)) === parts!.rule)
  if (rule?.timeouts?.request !== undefined) return undefined
  const all = way.backends.map(({ service }) => traffic.get(service)?.timeoutMs ?? way.timeoutMs)
  return all.length === 0 ? undefined : { timeoutMs: all.includes(0) ? 0 : Math.max(...all) }
}

const limitsOf = (policy: Attached | undefined): readonly RateLimit[] | undefined =>
  policy?.spec.limits?.map(rateLimitOf)

function checkPolicy(policy: Attached): Problem[] {
  const { loadBalancer, outlierEjection, circuitBreaker, limits, retry, timeouts, sticky, canary, sources, accepts } =
    policy.spec
  const problems: Problem[] = []
  const say = (path: Path, problem: string, cure: string): void =>
    void problems.push(problemAt(policy, ['spec', ...path], problem, cure))
  if (!serviceTrafficOf(policy.spec) && !limits && !sticky && !canary && !sources && !accepts) {
    const cure =
      'add loadBalancer, outlierEjection, circuitBreaker, retry, timeouts, limits, accepts, sources, sticky or canary'
    say([], 'says nothing', cure)
  }
  if (retry?.grpcCodes && retry.methods?.includes('POST') !== true) {
    const problem = 'says nothing as long as a POST is not repeated, and each call of gRPC is one'
    say(['retry', 'grpcCodes'], problem, 'add methods: [POST] where every call may be repeated')
  }
  if (loadBalancer && hashes(loadBalancer.type) !== (loadBalancer.hashOn !== undefined)) {
    const { type, hashOn } = loadBalancer
    if (hashOn)
      say(['loadBalancer', 'hashOn'], `${type ?? 'PeakEwma'} hashes nothing`, 'remove it, or choose RingHash or Maglev')
    else say(['loadBalancer', 'type'], `${type} needs to know by what`, 'add hashOn, such as {header: x-user}')
  }
  for (const [path, text] of [
    [['outlierEjection', 'baseTime'], outlierEjection?.baseTime],
    [['outlierEjection', 'maxTime'], outlierEjection?.maxTime],
    [['circuitBreaker', 'openFor'], circuitBreaker?.openFor],
    [['loadBalancer', 'warmUp', 'duration'], loadBalancer?.warmUp?.duration],
    [['timeouts', 'perTry'], timeouts?.perTry],
    [['canary', 'window'], canary?.window],
    [['sources', 'newConnections', 'per'], sources?.newConnections?.per],
    [['canary', 'latency', 'threshold'], canary?.latency?.threshold],
    [['timeouts', 'connect'], timeouts?.connect],
    [['timeouts', 'idle'], timeouts?.idle],
    ...(limits ?? []).map(({ per }, index) => [['limits', index, 'per'], per] as const),
  ] as const) {
    if (text !== undefined && durationMs(text) === 0) say(path, 'is no time', 'write 1ms or more')
  }
  return problems
}

function countsNothing(workload: Placed<unknown>): Problem {
  const path: Path = ['spec', 'inbound', 'app', 'appProtocol']
  return problemAt(workload, path, 'speaks tcp, and its limits count requests', 'take the limits off it')
}

export const withTraffic = (service: Service, traffic: ServiceTraffic | undefined): Service =>
  traffic ? { ...service, traffic } : service

export const withLimits = (workload: Workload, limits: ListenerLimits | undefined): Workload =>
  limits
    ? {
        ...workload,
        listeners: workload.listeners.map((one) => (one.direction === 'inbound' ? { ...one, limits } : one)),
      }
    : workload
