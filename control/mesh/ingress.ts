/** Gateways for callers from outside: the ports that a workload opens for them, with their sites, routes and policies. */

import type { PolicyUse } from '../../core/policy.ts'
import type { ClientCertificates, GatewayListener, ListenerLimits, Route, Site, Workload } from '../../core/snapshot.ts'
import { parseTrustDomain, type TrustDomain } from '../../core/spiffe.ts'
import { type GatewayListenerSpec, type GatewaySpec, type HttpRouteSpec, isIngress, type RouteKind } from './gateway.ts'
import { covers } from './hostnames.ts'
import type { WorkloadSpec } from './kinds.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { partsOf } from './route-bindings.ts'

type PlacedGateway = Placed<GatewaySpec>

/** A port of a gateway, by which its routes are found. */
export const portKey = (gateway: string, port: number): string => `${gateway} ${port}`

/**
 * The listeners of a gateway that a route is attached to. One of plain HTTP whose host has TLS too only sends callers
 * there, unless a route names it: no route serves a host without TLS by accident.
 */
export const attachedTo = (
  gateway: PlacedGateway,
  section: string | undefined,
  kind: RouteKind,
): readonly GatewayListenerSpec[] =>
  gateway.spec.listeners.filter(
    (one) =>
      takes(one, kind) &&
      (section === undefined ? one.protocol !== 'TLS' && !hasTls(one, gateway) : one.name === section),
  )

/** Whether routes of this kind may be attached to a listener. */
export const takes = ({ allowedRoutes }: GatewayListenerSpec, kind: RouteKind): boolean =>
  allowedRoutes?.kinds?.some((one) => one.kind === kind) ?? true

const isSecureFor = ({ protocol, hostname }: GatewayListenerSpec, plain: GatewayListenerSpec): boolean =>
  protocol === 'HTTPS' && (hostname === plain.hostname || covers(hostname, plain.hostname))

const hasTls = (listener: GatewayListenerSpec, { spec }: PlacedGateway): boolean => {
  return listener.protocol === 'HTTP' && spec.listeners.some((one) => isSecureFor(one, listener))
}

interface Input {
  readonly gateways: readonly PlacedGateway[]
  readonly workloads: readonly Placed<WorkloadSpec>[]
  readonly trustDomain: TrustDomain
}

export function ingressProblems(input: Input): Problem[] {
  const problems: Problem[] = []
  const served = new Map<string, string>()
  for (const workload of input.workloads) {
    const { gateway } = workload.spec
    if (!gateway) continue
    const path: Path = ['spec', 'gateway', 'name']
    const say = (problem: string, cure: string): void => void problems.push(problemAt(workload, path, problem, cure))
    const known = input.gateways.find(({ name }) => name === gateway.name)
    if (!known) say(`there is no Gateway ${gateway.name}`, 'add it, or correct the name')
    else if (!isIngress(known)) say(`${known.label} is for outbound listeners`, 'give it the class writ-ingress')
    const other = served.get(gateway.name)
    const here = `${workload.spec.host ?? ''} ${gateway.name}`
    if (served.has(here)) say(`${other} serves it on this host already`, 'name another host, or another Gateway')
    served.set(gateway.name, workload.label).set(here, workload.label)
  }
  for (const gateway of input.gateways) {
    if (!isIngress(gateway)) continue
    problems.push(...listenerProblems(gateway), ...clientProblems(gateway, input.trustDomain))
    if (served.has(gateway.name)) continue
    const problem = 'no Workload listens for it'
    problems.push(
      problemAt(gateway, ['spec'], problem, `add gateway: {name: ${gateway.name}} to a Workload`, 'warning'),
    )
  }
  return problems
}

function listenerProblems(gateway: PlacedGateway): Problem[] {
  const problems: Problem[] = []
  const names = new Set<string>()
  const places = new Set<string>()
  const plain = new Map<number, boolean>()
  const versions = new Map<number, string>()
  for (const [index, listener] of gateway.spec.listeners.entries()) {
    const say = (field: string, problem: string, cure: string): void =>
      void problems.push(problemAt(gateway, ['spec', 'listeners', index, field], problem, cure))
    const { name, hostname, port, protocol, tls } = listener
    if (names.has(name)) say('name', `${name} names two listeners`, 'give each its own name')
    names.add(name)
    const place = `${hostname} ${port}`
    if (places.has(place)) say('hostname', `${hostname} is served at ${port} already`, 'keep one of the two')
    places.add(place)
    const isPlain = protocol === 'HTTP'
    if ((plain.get(port) ?? isPlain) !== isPlain) {
      say('protocol', `${port} has a listener with TLS and one without`, 'give them different ports')
    }
    plain.set(port, isPlain)
    const oldest = isPlain || protocol === 'TLS' ? undefined : minTlsOf(listener)
    if (oldest !== undefined && (versions.get(port) ?? oldest) !== oldest) {
      const problem = `another listener of ${port} takes TLS from ${versions.get(port)} on: versions are agreed on before the host is`
      say('tls', problem, 'write the same writ.dev/min-version, or another port')
    }
    if (oldest !== undefined) versions.set(port, oldest)
    if (protocol === 'TLS' && tls?.options) {
      say('tls', 'TLS is passed through here: its versions are between its ends', 'leave the options out')
    }
    if (isPlain && tls) say('tls', 'HTTP has no TLS', 'write protocol: HTTPS, or remove tls')
    if (protocol === 'HTTPS' && !tls?.certificateRefs) say('tls', 'HTTPS needs a certificate', 'add certificateRefs')
    if (protocol === 'HTTPS' && tls?.mode === 'Passthrough') {
      say('tls', 'what is passed through is not read as HTTP', 'write protocol: TLS')
    }
    if (protocol === 'TLS' && (tls?.mode === 'Terminate' || tls?.certificateRefs)) {
      say('tls', 'TLS is passed through here, and never ended', 'write protocol: HTTPS, or leave the certificates out')
    }
  }
  return problems
}

const minTlsOf = ({ tls }: GatewayListenerSpec): '1.2' | '1.3' => tls?.options?.['writ.dev/min-version'] ?? '1.3'

function clientProblems(gateway: PlacedGateway, own: TrustDomain): Problem[] {
  const validation = gateway.spec.tls?.frontend.default.validation
  if (!validation) return []
  const { caCertificateRefs, trustDomain } = validation
  const path: Path = ['spec', 'tls', 'frontend', 'default', 'validation']
  if (!caCertificateRefs !== (trustDomain === undefined)) {
    const cure = 'name both, so that such callers have names that are nobody else’s'
    return [problemAt(gateway, path, 'needs caCertificateRefs and trustDomain together', cure)]
  }
  if (trustDomain !== own) return []
  const problem = `${own} is the mesh’s own: such a caller could bear the name of a workload`
  return [problemAt(gateway, [...path, 'trustDomain'], problem, 'name another one')]
}

export interface IngressWorld {
  /** Routes by `portKey`, in order of precedence. */
  readonly entered: ReadonlyMap<string, readonly Route[]>
  /** Where passed-through TLS leads, by `portKey`. */
  readonly passed: ReadonlyMap<
    string,
    readonly { readonly host: string; readonly route: string; readonly backends: Route['backends'] }[]
  >
  /** Listeners that a route names by their section. */
  readonly named: ReadonlySet<string>
  readonly policyOf: (
    kind: 'Gateway' | 'HTTPRoute' | 'ExternalService',
    name: string,
    rule?: string,
  ) => PolicyUse | undefined
  readonly limitsOf: (gateway: string, routes: readonly Route[]) => ListenerLimits | undefined
}

/** The workload with the listeners of its gateway, where it has one. */
export function withGateway(
  workload: Workload,
  { spec }: Placed<WorkloadSpec>,
  gateways: readonly PlacedGateway[],
  world: IngressWorld,
): Workload {
  const gateway = gateways.find(({ name }) => name === spec.gateway?.name)
  if (!gateway) return workload
  const listeners = gatewayListeners(gateway, spec.gateway?.address ?? '127.0.0.1', world)
  return { ...workload, listeners: [...workload.listeners, ...listeners] }
}

/** The listeners of gateways that routes name: `<gateway> <section>`. */
export const namedSections = (routes: readonly Placed<HttpRouteSpec>[]): ReadonlySet<string> =>
  new Set(
    routes.flatMap(({ spec }) =>
      spec.parentRefs.flatMap(({ name, sectionName }) => (sectionName === undefined ? [] : [`${name} ${sectionName}`])),
    ),
  )

/** One listener for each port of the gateway. */
function gatewayListeners(gateway: PlacedGateway, address: string, world: IngressWorld): GatewayListener[] {
  const { spec, name } = gateway
  return [...new Set(spec.listeners.map(({ port }) => port))].map((port): GatewayListener => {
    const here = spec.listeners.filter((one) => one.port === port)
    const routes = world.entered.get(portKey(name, port)) ?? []
    const policies = routes.flatMap((route) => {
      const of = partsOf(route)
      const policy = of && world.policyOf('HTTPRoute', of.owner, of.rule)
      return policy ? [{ route: route.name, policy }] : []
    })
    const clients = here.some(({ protocol }) => protocol === 'HTTPS') ? clientsOf(gateway) : undefined
    const limits = world.limitsOf(name, routes)
    return {
      direction: 'gateway',
      name: `gateway-${port}`,
      bind: { kind: 'tcp', address, port },
      sites: here.flatMap((one) =>
        one.protocol === 'TLS'
          ? passedAt(one, gateway, world)
          : [siteOf(one, gateway, world), ...sentAway(one, gateway)],
      ),
      ...(here.some((one) => one.protocol === 'HTTPS' && minTlsOf(one) === '1.2') && { minTls: '1.2' as const }),
      ...(clients && { clients }),
      routes,
      policy: world.policyOf('Gateway', name),
      ...(policies.length > 0 && { policies }),
      ...(limits && { limits }),
    }
  })
}

/** What is passed on of a listener's names; the rest of them lead nowhere. A name of another listener is that one's. */
function passedAt({ hostname, port }: GatewayListenerSpec, { name, spec }: PlacedGateway, world: IngressWorld): Site[] {
  const others = spec.listeners.flatMap((one) => (one.port === port && one.hostname !== hostname ? one.hostname : []))
  const led = (world.passed.get(portKey(name, port)) ?? []).filter(
    ({ host }) => (host === hostname || covers(hostname, host)) && !others.includes(host),
  )
  const nowhere = led.some(({ host }) => host === hostname) ? [] : [{ host: hostname, route: '', backends: [] }]
  return [...led, ...nowhere].map(({ host, route, backends }) => ({ host, serves: 'tls', route, backends }))
}

function siteOf(listener: GatewayListenerSpec, gateway: PlacedGateway, world: IngressWorld): Site {
  const { hostname: host, protocol, tls, name } = listener
  if (protocol === 'HTTPS') {
    return { host, serves: 'https', certificates: (tls?.certificateRefs ?? []).map((ref) => ref.name) }
  }
  const secure = gateway.spec.listeners.find((one) => isSecureFor(one, listener))
  if (!secure || world.named.has(`${gateway.name} ${name}`)) return { host, serves: 'http' }
  return { host, serves: 'redirect', port: secure.port }
}

/** Hosts that have TLS, below a plain wildcard: no such host is served without it by accident. */
const sentAway = (listener: GatewayListenerSpec, { spec }: PlacedGateway): readonly Site[] =>
  spec.listeners.flatMap(({ protocol, hostname, port }) => {
    const below = listener.protocol === 'HTTP' && protocol === 'HTTPS' && covers(listener.hostname, hostname)
    const itself = spec.listeners.some((one) => one.port === listener.port && one.hostname === hostname)
    return below && !itself ? [{ host: hostname, serves: 'redirect', port }] : []
  })

function clientsOf({ spec }: PlacedGateway): ClientCertificates | undefined {
  const validation = spec.tls?.frontend.default.validation
  if (!validation) return undefined
  const { mode, caCertificateRefs, trustDomain } = validation
  const domain = trustDomain === undefined ? undefined : parseTrustDomain(trustDomain)
  return {
    mode: mode === 'AllowMissing' ? 'optional' : 'required',
    ...(caCertificateRefs &&
      domain && { roots: { names: caCertificateRefs.map((ref) => ref.name), trustDomain: domain } }),
  }
}
