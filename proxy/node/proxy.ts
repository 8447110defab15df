/** All listeners of one worker's workloads, and how a new snapshot takes their place without dropping a request. */

import { WritError } from '../../core/fault.ts'
import type {
  Authenticate,
  Decide,
  Identify,
  IdentitySource,
  LogRules,
  NowNs,
  RandomBytes,
  RecordSink,
} from '../../core/ports.ts'
import {
  type Listener,
  type MeshSnapshot,
  type Route,
  type Service,
  usesOf,
  type Workload,
} from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { RetryRules } from '../../core/traffic.ts'
import { type Balancer, makeBalancer } from '../balance/balancer.ts'
import { type Circuit, makeCircuit } from '../balance/breaker.ts'
import { type Budget, makeBudget } from '../balance/budget.ts'
import type { RoutesOver } from '../flow/gateway.ts'
import { type FindQuarantine, quarantineOf } from '../flow/quarantine.ts'
import { inBlocks } from '../flow/random.ts'
import type { Load } from '../flow/reach.ts'
import { type FindRoute, type FindService, routesOf, serviceRoute } from '../flow/route.ts'
import { makeTrials, type TrialReport, type Trials } from '../flow/trial.ts'
import { makeVersions, returnedText, type VersionReport } from '../flow/versions.ts'
import { acceptanceOf, bounded } from '../limit/accepts.ts'
import { type AskRates, makeRates, type Rates } from '../limit/rates.ts'
import { makeSources, type Sources } from '../limit/sources.ts'
import { type Limits, limitDefaults } from '../limits.ts'
import type { Parts } from '../serve.ts'
import type { Telemetry } from '../telemetry/served.ts'
import { type GatewayWorld, makeGateways } from './gateways.ts'
import { makeHttp2Pool } from './http2-pool.ts'
import type { TakeInherited } from './inherited.ts'
import type { Pools } from './legs.ts'
import { type ListenerStats, type OpenListener, openListener, type ProxyEvent } from './listener.ts'
import { meshTls } from './listener-tls.ts'
import type { OutsideWorld } from './outside.ts'
import { capturedAt, declared, detects, opaqueTarget, placeOf, routeAt, spokenBetween } from './place.ts'
import { makePool } from './pool.ts'
import { makeConnectTcp } from './tcp-upstream.ts'
import { oneATurn } from './turns.ts'

export interface ProxyOptions extends Pick<GatewayWorld, 'identifyClients' | 'certificates'> {
  readonly snapshot: MeshSnapshot
  /** Names of the workloads to serve. One that the snapshot does not have has no listeners. */
  readonly workloads: readonly string[]
  readonly source: (workload: SpiffeId) => IdentitySource
  readonly identify: (workload: SpiffeId) => Identify
  /** How hosts outside of the mesh are reached. Default they are not. */
  readonly outside?: OutsideWorld
  /** Judges the tokens of requests, where a binding takes any. Default nobody can, and such a binding passes nobody. */
  readonly authenticate?: Authenticate
  readonly decide: Decide
  /** Default each record is kept as it is. */
  readonly logRules?: LogRules
  readonly sink: (workload: SpiffeId) => RecordSink
  readonly now: NowNs
  readonly random: RandomBytes
  readonly limits?: Partial<Limits>
  /** Whether other processes listen on the same TCP ports. Default false. */
  readonly reusePort?: boolean
  /** Sockets of listeners that are open already. Default none. */
  readonly inherited?: TakeInherited | undefined
  /**
   * Addresses that callers know services by, each its name's, where an inherited socket is transparent: what is sent to that of
   * a service of opaque TCP is passed there. Default no connection is told by its address.
   */
  readonly addressesOf?: ((services: readonly Service[]) => ReadonlyMap<string, string>) | undefined
  readonly onEvent?: (event: ProxyEvent) => void
  /** Counts, lists, shows and traces requests. Default nobody does. */
  readonly telemetry?: Telemetry
  /** A canary took itself back. */
  readonly onRolledBack?: (report: TrialReport) => void
  /** A backend on trial lost its weight to the others of its route. */
  readonly onReturned?: (report: VersionReport) => void
}

export interface OpenProxy {
  /**
   * Puts a snapshot in force: routes, policies and applications from the next request on; listeners that are new are
   * opened, and those that are gone or moved are drained. Rejects where a new one cannot be opened; all others are then
   * as the snapshot says.
   */
  apply(snapshot: MeshSnapshot): Promise<void>
  /** `workload/listener` and the port it has; 0 for a Unix socket. */
  listeners(): readonly { readonly name: string; readonly port: number }[]
  stats(): ProxyStats
  /** How the trials of a workload go here. */
  trials(workload: SpiffeId): Pick<Trials, 'reports' | 'faultsPassed'>
  /** How backends on trial go here, of all workloads together. */
  versions(): readonly VersionReport[]
  /** Accepts no more, finishes what is in flight within `ms` milliseconds, then cuts and closes everything. */
  drain(ms: number): Promise<void>
}

export interface ProxyStats {
  readonly listeners: readonly (ListenerStats & { readonly name: string })[]
  readonly upstreamConnections: number
  /** Copies to mirrors: under way, and left out since there were as many as there may be. */
  readonly mirrors: { readonly open: number; readonly leftOut: number }
  /** Endpoints of the services that have several, by the service's name. */
  readonly balanced: Readonly<Record<string, ReturnType<Balancer['stats']>>>
  /** Circuits of the services that have a breaker, by the service's name. */
  readonly circuits: Readonly<Record<string, ReturnType<Circuit['stats']>>>
}

interface Running {
  readonly place: string
  readonly listener: OpenListener
}

/** Time that connections of a listener that a snapshot no longer has may take to finish, in milliseconds. */
const removedDrainMs = 10_000
const poolSweepMs = 1000

export async function openProxy(options: ProxyOptions): Promise<OpenProxy> {
  const limits: Limits = { ...limitDefaults, ...options.limits }
  const onEvent = options.onEvent ?? (() => {})
  const random = inBlocks(options.random)
  const nowMs = (): number => Number(options.now() / 1_000_000n)
  const pools = new Map<SpiffeId, Pools>()
  const trials = new Map<SpiffeId, Trials>()
  const balancers = new Map<string, Balancer>()
  const circuits = new Map<string, Circuit>()
  const budgets = new Map<string, Budget>()
  const loads = new Map<string, Load>()
  const versions = makeVersions(nowMs, (report, caller) => {
    // Where nobody can keep it, control says it once more.
    if (caller !== undefined) void Promise.resolve(keepReturned(caller as SpiffeId, report)).catch(() => {})
    options.onReturned?.(report)
  })
  const rates = new Map<string, Rates>()
  const sources = new Map<string, Sources>()
  const gateways = makeGateways({ ...options, onEvent })
  const later = oneATurn()
  const running = new Map<string, Running>()
  const draining = new Set<Promise<void>>()
  let turn: Promise<void> = Promise.resolve()
  let closed = false

  const sweeper = setInterval(() => {
    for (const { http1, http2 } of pools.values()) {
      http1.sweep()
      http2.sweep()
    }
  }, poolSweepMs)
  sweeper.unref()

  function poolsOf(workload: SpiffeId): Pools {
    const known = pools.get(workload)
    if (known) return known
    const identify = options.identify(workload)
    const { outside } = options
    const parts = { limits, nowMs, source: options.source(workload), identify, outside }
    const made = {
      http1: makePool(parts),
      http2: makeHttp2Pool(parts),
      connectTcp: makeConnectTcp(parts),
      mirrors: { most: limits.mirrors, open: 0, leftOut: 0 },
    }
    pools.set(workload, made)
    return made
  }

  function partsOf(
    workload: Workload,
    listener: Listener,
    snapshot: MeshSnapshot,
    outbound: FindRoute,
    quarantined: FindQuarantine | undefined,
  ): Parts {
    const name = `${workload.name}/${listener.name}`
    const accepts = 'limits' in listener && listener.limits && acceptanceOf(listener.limits)
    const { locality } = workload
    const ofService: FindService = (service) =>
      serviceRoute(snapshot, service, () => fraction(random), { balance, locality })
    const parts: Parts = {
      direction: listener.direction === 'outbound' ? 'outbound' : 'inbound',
      listener: name,
      workload: workload.id,
      policy: 'policy' in listener ? listener.policy : undefined,
      findRoute: routeAt(listener, ofService, outbound),
      connectTo: opaqueTarget(listener, ofService),
      captured: capturedAt(listener, snapshot, ofService, options.addressesOf),
      detects: detects(listener),
      identify: options.identify(workload.id),
      authenticate: options.authenticate,
      decide: trialsOf(workload.id).decide,
      logRules: options.logRules,
      quarantined,
      limited: limitedAt(name, listener),
      sources: sourcesAt(name, listener),
      trials: trialsOf(workload.id),
      telemetry: options.telemetry,
      sink: options.sink(workload.id),
      now: options.now,
      random,
      ...(listener.direction === 'gateway' &&
        gateways.partsOf(name, workload, listener, snapshot, routesFrom(locality), ofService, () => fraction(random))),
    }
    return accepts ? { ...parts, findRoute: bounded(parts.findRoute, accepts) } : parts
  }

  const routesFrom =
    (locality: string | undefined): RoutesOver =>
    (world) =>
      routesOf(world, () => fraction(random), { balance, circuit, budget, load, locality, version: versions.of })

  /** What is known of a service's endpoints outlives the snapshot. */
  function balance({ name, endpoints, traffic }: Service): Balancer {
    const balancer = balancers.get(name) ?? makeBalancer({ nowMs, fraction: () => fraction(random) })
    balancer.use(endpoints, {
      ...{ type: traffic?.balance?.type, outlier: traffic?.outlier, warmUp: traffic?.warmUp },
      ...(traffic?.locality && { locality: traffic.locality }),
    })
    balancers.set(name, balancer)
    return balancer
  }

  /** Undefined for a service without a breaker. */
  function circuit({ name, traffic }: Service): Circuit | undefined {
    if (!traffic?.breaker) return undefined
    const made = circuits.get(name) ?? makeCircuit(nowMs, traffic.breaker)
    made.use(traffic.breaker)
    circuits.set(name, made)
    return made
  }

  function load({ name }: Service): Load {
    const made = loads.get(name) ?? { inFlight: 0 }
    loads.set(name, made)
    return made
  }

  function budget({ name }: Service, { budget }: RetryRules): Budget {
    const made = budgets.get(name) ?? makeBudget(nowMs, budget)
    made.use(budget)
    budgets.set(name, made)
    return made
  }

  async function keepReturned(workload: SpiffeId, report: VersionReport): Promise<void> {
    const detail = returnedText(report)
    await options.sink(workload).keep({ kind: 'admin', action: 'weight_returned', actor: workload, detail })
  }

  function limitedAt(name: string, listener: Listener): AskRates | undefined {
    const limits = 'limits' in listener ? listener.limits : undefined
    const made = limits && (rates.get(name) ?? makeRates(limits, listener.direction === 'gateway'))
    if (!made) {
      rates.delete(name)
      return undefined
    }
    made.use(limits)
    rates.set(name, made)
    return made.ask
  }

  function sourcesAt(name: string, listener: Listener): Sources | undefined {
    const limits = 'sources' in listener ? listener.sources : undefined
    const made = limits && (sources.get(name) ?? makeSources(limits))
    if (!made) {
      sources.delete(name)
      return undefined
    }
    made.use(limits)
    sources.set(name, made)
    return made
  }

  function trialsOf(workload: SpiffeId): Trials {
    const known = trials.get(workload)
    if (known) return known
    const { decide, logRules, now, onRolledBack } = options
    const sink = options.sink(workload)
    const made = makeTrials({ decide, logRules, sink, now, later, ...(onRolledBack && { onRolledBack }) })
    trials.set(workload, made)
    return made
  }

  function open(workload: Workload, listener: Listener, parts: Parts): Promise<OpenListener> {
    const source = options.source(workload.id)
    return openListener({
      bind: listener.bind,
      reusePort: options.reusePort ?? false,
      fd: options.inherited?.(parts.listener),
      tls:
        listener.direction === 'inbound' || listener.direction === 'egress'
          ? meshTls(source, spokenBetween(listener))
          : listener.direction === 'gateway'
            ? gateways.tlsOf(parts.listener, workload, listener)
            : undefined,
      evidence:
        listener.direction === 'outbound'
          ? () => ({ kind: 'declared', identity: declared(source.current()) })
          : () => ({ kind: 'none' }),
      parts,
      pools: poolsOf(workload.id),
      limits,
      nowMs,
      onEvent,
    })
  }

  /** Closes a listener in the background; `drain` waits for it too. */
  function remove(name: string, { listener }: Running): void {
    running.delete(name)
    const done = listener.close({ drainMs: removedDrainMs }).finally(() => draining.delete(done))
    draining.add(done)
  }

  async function put(snapshot: MeshSnapshot): Promise<void> {
    if (closed) throw new WritError('unavailable', 'the proxy is stopping')
    const several = new Set(snapshot.services.flatMap(({ name, endpoints }) => (endpoints.length > 1 ? name : [])))
    for (const name of balancers.keys()) if (!several.has(name)) balancers.delete(name)
    const broken = new Set(snapshot.services.flatMap(({ name, traffic }) => (traffic?.breaker ? name : [])))
    for (const name of circuits.keys()) if (!broken.has(name)) circuits.delete(name)
    const served = new Set(snapshot.services.map(({ name }) => name))
    for (const known of [budgets, loads]) {
      for (const name of known.keys()) if (!served.has(name)) known.delete(name)
    }
    /** By where they begin, which is mostly one place for a whole process. */
    const outbound = new Map<string | undefined, FindRoute>()
    const outboundFrom = ({ locality }: Workload): FindRoute => {
      const known = outbound.get(locality) ?? routesFrom(locality)(snapshot)
      outbound.set(locality, known)
      return known
    }
    versions.follow([...snapshot.routes, ...snapshot.workloads.flatMap(({ listeners }) => listeners.flatMap(routesAt))])
    const quarantined = quarantineOf(snapshot.quarantine ?? [])
    const wanted = new Map<string, { readonly workload: Workload; readonly listener: Listener }>(
      snapshot.workloads
        .filter(({ name }) => options.workloads.includes(name))
        .flatMap((workload) =>
          workload.listeners.map((listener) => [`${workload.name}/${listener.name}`, { workload, listener }] as const),
        ),
    )
    for (const [name, one] of running) {
      const next = wanted.get(name)
      if (!next) rates.delete(name)
      if (!next) sources.delete(name)
      if (!next) gateways.forget(name)
      if (!next || placeOf(next.workload, next.listener) !== one.place) remove(name, one)
    }
    for (const { workload } of wanted.values())
      trialsOf(workload.id).follow(workload.listeners.flatMap(usesOf), snapshot.bundles)
    const failures: unknown[] = []
    for (const [name, { workload, listener }] of wanted) {
      const parts = partsOf(workload, listener, snapshot, outboundFrom(workload), quarantined)
      const known = running.get(name)
      if (known) known.listener.use(parts)
      else {
        try {
          running.set(name, { place: placeOf(workload, listener), listener: await open(workload, listener, parts) })
        } catch (thrown) {
          failures.push(thrown)
        }
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  async function drain(ms: number): Promise<void> {
    closed = true
    clearInterval(sweeper)
    await turn.catch(() => {})
    const open = [...running.values()].map(({ listener }) => listener.close({ drainMs: ms }))
    running.clear()
    await Promise.all([...open, ...draining])
    for (const { http1, http2 } of pools.values()) {
      http1.close()
      http2.close()
    }
    await Promise.all([...trials.values()].map((one) => one.settled()))
  }

  try {
    await put(options.snapshot)
  } catch (thrown) {
    await drain(0)
    throw thrown
  }
  return {
    apply(snapshot) {
      turn = turn.catch(() => {}).then(() => put(snapshot)) // One after the other, so that the last one stays.
      return turn
    },
    listeners: () => [...running].map(([name, { listener }]) => ({ name, port: listener.port })),
    stats: () => ({
      listeners: [...running].map(([name, { listener }]) => ({ name, ...listener.stats() })),
      upstreamConnections: [...pools.values()].reduce((sum, { http1, http2 }) => sum + http1.open() + http2.open(), 0),
      mirrors: [...pools.values()].reduce(
        (sum, { mirrors }) => ({ open: sum.open + mirrors.open, leftOut: sum.leftOut + mirrors.leftOut }),
        { open: 0, leftOut: 0 },
      ),
      balanced: Object.fromEntries([...balancers].map(([name, balancer]) => [name, balancer.stats()])),
      circuits: Object.fromEntries([...circuits].map(([name, one]) => [name, one.stats()])),
    }),
    trials: trialsOf,
    versions: versions.reports,
    drain,
  }
}

const routesAt = (listener: Listener): readonly Route[] => (listener.direction === 'gateway' ? listener.routes : [])

/** A number from 0 up to 1 out of 32 random bits. */
function fraction(random: RandomBytes): number {
  const bytes = random(4)
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 2 ** 32
}
