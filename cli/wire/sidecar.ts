/** One workload's sidecar: an identity, a snapshot and its bundles, a producer of records, and the listeners. */

import { lookup } from 'node:dns'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Recorder } from '../../audit/node/recorder.ts'
import { makeIdentifyClients } from '../../ca/clients.ts'
import { makeIdentify } from '../../ca/identify.ts'
import { lifetime } from '../../ca/lifetimes.ts'
import { verifySignature } from '../../ca/node/crypto.ts'
import { signHeadWith } from '../../ca/node/heads.ts'
import { certificatesOf } from '../../ca/node/pem.ts'
import type { LiveIdentity } from '../../ca/node/rotate.ts'
import { maxTrials } from '../../control/health.ts'
import { addressesOf, captureOf } from '../../control/mesh/capture.ts'
import { snapshotFor } from '../../control/mesh/scope.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import type { Authenticate, Certificates, NowNs } from '../../core/ports.ts'
import type { MeshSnapshot, Workload } from '../../core/snapshot.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import { makeDecide, makeLogRules, makePolicies } from '../../engine/index.ts'
import { lookupOf, openHttpTransport } from '../../engine/node/http-transport.ts'
import type { Trials } from '../../proxy/flow/trial.ts'
import { returnedText, type VersionReport } from '../../proxy/flow/versions.ts'
import { underHost } from '../../proxy/flow/wildcard.ts'
import { type DnsOptions, openDns } from '../../proxy/node/dns.ts'
import type { TakeInherited } from '../../proxy/node/inherited.ts'
import { type OpenProxy, openProxy } from '../../proxy/node/proxy.ts'
import { agreeable } from '../../proxy/node/tls.ts'
import type { Telemetry } from '../../proxy/telemetry/served.ts'
import { software } from '../version.ts'
import { openActivation, refreshProblem } from './activation.ts'
import { type Alarm, makeAlarms, overdue } from './alarms.ts'
import { runDrills } from './drills.ts'
import { keepLastGood, type LastGood } from './last-good.ts'
import { random, sha256 } from './machine.ts'
import type { MeshClient } from './mesh-client.ts'
import { pause } from './pause.ts'
import type { OnEvent } from './telemetry.ts'
import { followTrust, ownSequence } from './trust.ts'

export interface SidecarOptions {
  /** Folder of what must outlive a restart: last good snapshot and bundles. */
  readonly dir: string
  readonly source: LiveIdentity
  readonly client: MeshClient
  /** Opened by the shell, since several sidecars of one worker share a spool. */
  readonly recorder: (snapshot: MeshSnapshot) => Promise<Recorder>
  /** Told of each snapshot before it is put in force. */
  readonly onSnapshot?: (snapshot: MeshSnapshot) => void
  /** Judges tokens of requests; shared, so that issuers are asked for their keys once a process. */
  readonly authenticate: Authenticate
  /** What gateways show, and their roots of clients. */
  readonly certificates: Certificates
  readonly reusePort: boolean
  /** Sockets of its listeners that are open already; captured connections are told by their addresses then. Default none. */
  readonly inherited?: TakeInherited | undefined
  /** Where names of the mesh are answered, and who is asked for all others. Default nowhere. */
  readonly dns?: Pick<DnsOptions, 'address' | 'port' | 'upstreams'> | undefined
  /** Time between two drills, in milliseconds; the first is at the start. Default none are made. */
  readonly drillEveryMs?: number | undefined
  /** Counts, lists, shows and traces requests. Default nobody does. */
  readonly telemetry?: Telemetry
  readonly now: NowNs
  readonly onEvent: OnEvent
}

export interface Sidecar {
  readonly workload: Workload
  readonly proxy: OpenProxy
  /** Where names are answered; undefined where they are not. */
  readonly dnsPort: number | undefined
  /** What is raised now. */
  alarms(): readonly Alarm[]
  /** Whether what is in force here is this workload's part of `whole`. */
  isCurrent(whole: MeshSnapshot): boolean
  /** Stops taking requests, finishes those in flight within `drainMs`, and ends its epoch with a final head. */
  close(drainMs: number): Promise<void>
}

/** Time between two reports to control, in milliseconds. */
const reportEveryMs = 5000

/** Resolves once every listener of the workload is open. */
export async function openSidecar(options: SidecarOptions): Promise<Sidecar> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 })
  const lastGood = keepLastGood(join(options.dir, 'last-good'))
  const { snapshot: first, stale } = await firstSnapshot(options, lastGood)
  const id = options.source.current().svid.id
  const workload = first.workloads.find((candidate) => candidate.id === id)
  if (!workload) {
    throw new WritError('not_found', `the mesh has no workload named ${id}`, {
      cure: 'add a Workload document for it to the mesh file, or join with another token',
    })
  }

  options.onSnapshot?.(first)
  const recorder = await options.recorder(first)
  const signHead = signHeadWith(options.source)
  const sink = await recorder.producer({ id, source: options.source, signHead, tls: agreeable })
  const policies = makePolicies()
  const activation = await openActivation({
    policies,
    client: options.client,
    lastGood,
    sink,
    now: options.now,
    onWarning: (text) => options.onEvent({ level: 'warn', from: workload.name, text }),
  })
  await activation.activate(first)
  let hurry = new AbortController()
  const identify = makeIdentify(() => options.source.current(), verifySignature)
  const decide = makeDecide(policies, { asOf: activation.asOf, http: openHttpTransport() })
  const proxy = await openProxy({
    snapshot: first,
    workloads: [workload.name],
    source: () => options.source,
    identify: () => identify,
    certificates: options.certificates,
    outside: {
      lookup: (privateAddresses) => lookupOf(lookup, privateAddresses),
      certificates: options.certificates,
    },
    identifyClients: (_, { names, trustDomain }) =>
      makeIdentifyClients({
        identify,
        state: () => options.source.current(),
        roots: rootsOf(options.certificates, names),
        trustDomain,
        verify: verifySignature,
      }),
    authenticate: options.authenticate,
    decide,
    logRules: makeLogRules(policies),
    sink: () => sink,
    now: options.now,
    random,
    reusePort: options.reusePort,
    inherited: options.inherited,
    addressesOf: options.inherited && ((services) => addressesOf(services, sha256)),
    ...(options.telemetry && { telemetry: options.telemetry }),
    onEvent: (event) => options.onEvent({ ...event, from: `${workload.name}: ${event.from}` }),
    onRolledBack({ name, bundle }) {
      const text = `the canary ${bundle} of ${name} refused too many and was taken back`
      options.onEvent({ level: 'warn', from: workload.name, text })
      hurry.abort()
    },
    onReturned(report) {
      const text = `the weight went back: ${returnedText(report)}`
      options.onEvent({ level: 'warn', from: workload.name, text })
      hurry.abort()
    },
  })

  let names = namesOf(first)
  const find = (name: string): string | undefined => underHost(names, name)
  const dns = options.dns && (await openDns({ ...options.dns, find }).catch(closing(proxy)))

  let applied = first.name
  const stop = new AbortController()
  const following = follow()

  async function follow(): Promise<void> {
    let name = stale ? '' : applied
    for (let failures = 0; !stop.signal.aborted; ) {
      try {
        const snapshot = await options.client.snapshot(name, stop.signal)
        if (!snapshot) {
          failures = 0
          continue
        }
        options.onSnapshot?.(snapshot)
        await activation.activate(snapshot)
        await proxy.apply(snapshot)
        names = namesOf(snapshot)
        applied = snapshot.name
        current = snapshot
        name = applied
        failures = 0
        await lastGood.keepSnapshot(snapshot)
      } catch (thrown) {
        if (stop.signal.aborted) return
        if (failures++ === 0) {
          options.onEvent({
            level: 'warn',
            from: workload!.name,
            text: `goes on with ${applied}: ${messageOf(thrown)}`,
          })
        }
        await pause(Math.min(250 * 2 ** failures, 10_000), stop.signal)
      }
    }
  }

  let current = first
  const drilling = drill()
  /** What cannot be tried or kept is tried again the next time; the report says which listeners had no drill. */
  async function drill(): Promise<void> {
    while (options.drillEveryMs !== undefined && !stop.signal.aborted) {
      try {
        const own = current.workloads.find((candidate) => candidate.id === id) ?? workload!
        const { svid } = options.source.current()
        const identity = { ...svid, trustDomain: trustDomainOf(id), proof: 'x509' as const }
        const parts = {
          workload: own,
          audit: current.audit,
          ports: proxy.listeners(),
          identity,
          identify,
          decide,
          sink,
        }
        await runDrills({ ...parts, now: options.now })
      } catch (thrown) {
        options.onEvent({ level: 'warn', from: workload!.name, text: `a drill was not made: ${messageOf(thrown)}` })
      }
      await pause(options.drillEveryMs, stop.signal)
    }
  }

  const watching = watchDenied()
  async function watchDenied(): Promise<void> {
    let generation: number | undefined
    while (!stop.signal.aborted) {
      try {
        const next = await options.client.denied(generation, stop.signal)
        if (next) {
          options.source.setDenied(next.denied)
          generation = next.generation
        }
      } catch {
        await pause(500, stop.signal) // The snapshot's loop says that control is away; the last list stays in force.
      }
    }
  }

  const trusting = followTrust(options.client, options.source, stop.signal, () => hurry.abort())

  const refreshing = refresh()
  async function refresh(): Promise<void> {
    for (let failures = 0; !stop.signal.aborted; ) {
      try {
        await activation.refresh()
        failures = 0
      } catch (thrown) {
        const text = refreshProblem(thrown)
        if (failures++ === 0) options.onEvent({ level: 'warn', from: workload!.name, text })
      }
      await pause(activation.refreshEveryMs() ?? reportEveryMs, stop.signal)
    }
  }

  const nowMs = (): number => Number(options.now() / 1_000_000n)
  const alarms = makeAlarms(nowMs, options.onEvent)
  const reporting = report()
  /** Control shows operators what each workload runs; a report that does not arrive is missed by nobody else. */
  async function report(): Promise<void> {
    while (!stop.signal.aborted) {
      const { svid } = options.source.current()
      const leaf = options.source.renewing().fault?.message
      alarms.look(overdue(workload!.name, [lifetime('leaf', svid)], nowMs(), { leaf }))
      const { bytes, pending } = recorder.status()
      const maxBytes = first.audit.spoolMaxBytes
      const status = {
        snapshot: applied,
        software,
        trust: ownSequence(options.source),
        serial: svid.serial,
        not_after: new Date(svid.notAfterMs).toISOString(),
        spool: { state: bytes < maxBytes ? 'ok' : 'full', bytes, max_bytes: maxBytes, pending },
        ...trialStatus(proxy.trials(id)),
        ...versionStatus(proxy.versions()),
      }
      hurry = new AbortController()
      await options.client.status(status).catch(() => undefined)
      await pause(reportEveryMs, AbortSignal.any([stop.signal, hurry.signal]))
    }
  }

  return {
    workload,
    proxy,
    dnsPort: dns?.port,
    alarms: alarms.current,
    isCurrent: (whole) => snapshotFor(whole, id, sha256)?.name === applied,
    async close(drainMs) {
      stop.abort()
      await dns?.close()
      await proxy.drain(drainMs)
      await Promise.all([following, watching, trusting, refreshing, reporting, drilling])
      await sink.close()
    },
  }

  function namesOf(snapshot: MeshSnapshot): ReadonlyMap<string, string> {
    const transparent = options.inherited !== undefined
    const isThere = snapshot.workloads.some(({ name }) => name === workload!.name)
    return options.dns && isThere ? captureOf(snapshot, workload!.name, sha256, { transparent }).names : new Map()
  }

  async function firstSnapshot(
    { client, onEvent }: SidecarOptions,
    kept: LastGood,
  ): Promise<{ snapshot: MeshSnapshot; stale: boolean }> {
    try {
      const snapshot = await client.snapshot('', AbortSignal.timeout(10_000))
      if (!snapshot) throw new WritError('unavailable', 'control gave no snapshot')
      await kept.keepSnapshot(snapshot)
      return { snapshot, stale: false }
    } catch (thrown) {
      const snapshot = await kept.snapshot()
      if (!snapshot) throw thrown
      onEvent({ level: 'warn', from: 'snapshot', text: `starts with the last good one: ${messageOf(thrown)}` })
      return { snapshot, stale: true }
    }
  }
}

/** Nothing stays open of a start that failed. */
const closing =
  (proxy: OpenProxy) =>
  async (thrown: unknown): Promise<never> => {
    await proxy.drain(0)
    throw thrown
  }

/** Left out where there is nothing to tell: a control of the release before does not read it. */
function trialStatus(trials: Pick<Trials, 'reports' | 'faultsPassed'>): { readonly [name: string]: Json } {
  const passed = trials.faultsPassed()
  // Those that were taken back must be told, also where there are too many.
  const reports = trials.reports().toSorted((a, b) => Number(b.rolledBack) - Number(a.rolledBack))
  const told = reports.slice(0, maxTrials).map(({ rolledBack, numbers, ...rest }): Json => {
    return { ...rest, ...(numbers && { numbers: { ...numbers } }), rolled_back: rolledBack }
  })
  return { ...(passed > 0 && { faults_passed: passed }), ...(told.length > 0 && { trials: told }) }
}

function versionStatus(all: readonly VersionReport[]): { readonly [name: string]: Json } {
  const told = all.toSorted((a, b) => Number(b.returned) - Number(a.returned)).slice(0, maxTrials)
  return told.length > 0 ? { versions: told as unknown as Json } : {}
}

/** The roots of these names as DER; the same array while their text is the same. */
export function rootsOf(certificates: Pick<Certificates, 'roots'>, names: readonly string[]) {
  let text: string | undefined
  let roots: readonly Uint8Array[] = []
  return (): readonly Uint8Array[] => {
    const now = names.map((name) => certificates.roots(name)).join('\n')
    if (now !== text) roots = certificatesOf(now)
    text = now
    return roots
  }
}
