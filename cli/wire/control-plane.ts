/** The control plane of one cluster: issuer, configuration and its doors, and a producer of what it did. */

import { join } from 'node:path'
import type { Recorder } from '../../audit/node/recorder.ts'
import type { Db } from '../../audit/store/schema.ts'
import { preparedOf } from '../../ca/authorities.ts'
import { refreshHintOf } from '../../ca/bundle.ts'
import { makeIdentify } from '../../ca/identify.ts'
import { lifetime } from '../../ca/lifetimes.ts'
import type { Authority } from '../../ca/node/authority.ts'
import { fileBoundKeys } from '../../ca/node/bound-keys.ts'
import { verifySignature } from '../../ca/node/crypto.ts'
import { signHeadWith } from '../../ca/node/heads.ts'
import { makeRecovery } from '../../ca/node/recovery.ts'
import { makeRegistrar, type Registrar } from '../../ca/node/registrar.ts'
import type { LiveIdentity } from '../../ca/node/rotate.ts'
import type { SharedState } from '../../ca/node/shared.ts'
import { localIdentitySource } from '../../ca/node/source.ts'
import { fileTokens } from '../../ca/node/tokens.ts'
import { makeHealth, type TrialHealth, type VersionHealth } from '../../control/health.ts'
import { type AdminDoor, openAdminDoor } from '../../control/node/admin-door.ts'
import { type AuditReads, makeReads, recordedReads } from '../../control/node/audit-reads.ts'
import { authorityRoutes } from '../../control/node/authority-routes.ts'
import { type BundleDoorParts, openBundleDoor } from '../../control/node/bundle-door.ts'
import { openCollectorDoor } from '../../control/node/collector-door.ts'
import { openCollectorTokens } from '../../control/node/collector-tokens.ts'
import { complianceRoutes } from '../../control/node/compliance-routes.ts'
import { findingsRoutes } from '../../control/node/findings-routes.ts'
import type { DoorApp } from '../../control/node/http.ts'
import { openMeshDoor } from '../../control/node/mesh-door.ts'
import { metricsRoute } from '../../control/node/metrics-route.ts'
import { makeOpaLog } from '../../control/node/opa-log.ts'
import type { Door } from '../../control/node/open-door.ts'
import { type QuarantineParts, quarantineRoutes } from '../../control/node/quarantine-routes.ts'
import type { StateFolder } from '../../control/node/state.ts'
import { partsOf } from '../../control/parts.ts'
import { withQuarantine } from '../../control/quarantine.ts'
import { type ReturnedWeight, returnedBy, stillOnTrial, withoutReturned } from '../../control/returned-weights.ts'
import {
  type RolledBack,
  rolledBackBy,
  rolledBackText,
  stillMeant,
  withoutRolledBack,
} from '../../control/rollbacks.ts'
import { messageOf } from '../../core/fault.ts'
import type { PolicyBundle } from '../../core/policy.ts'
import type { FindReceipt, Identify, KeyVault, NowNs, RecordSink } from '../../core/ports.ts'
import type { IssuanceBody } from '../../core/record.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { returnedText } from '../../proxy/flow/versions.ts'
import { accessBy } from './access.ts'
import { alarmsText, lifetimesText, makeAlarms, overdue } from './alarms.ts'
import { makeApplied } from './applied.ts'
import { tendAuthority, trustEvent } from './authority.ts'
import type { Config } from './config.ts'
import { openDenied, sharedDenied } from './denied.ts'
import { inTurn } from './in-turn.ts'
import { makeLeaves } from './leaves.ts'
import { random, sha256 } from './machine.ts'
import { controlId, isOfPart } from './names.ts'
import type { ServedData } from './policy-data.ts'
import { type Quarantine, runQuarantine } from './quarantine.ts'
import { openRegistrations } from './registration.ts'
import { openRollbacks } from './rollbacks.ts'
import type { OnEvent } from './telemetry.ts'

export interface ControlPlaneOptions {
  readonly state: StateFolder
  readonly authority: Authority
  readonly identity: ControlIdentity
  readonly recorder: Recorder
  readonly config: Config
  readonly findReceipt: FindReceipt
  readonly vault?: KeyVault
  /** What several control planes share. Default this one is alone, with files of its own. */
  readonly shared?: SharedState | undefined
  /** Time since a version of policy data was last seen to be the newest, in milliseconds. */
  readonly dataAgeMs: (name: string, sha256: string) => number | undefined
  readonly listen: { readonly address: string; readonly port: number }
  /** Where the collector listens in plain HTTP for edge functions, on loopback. Default nowhere. */
  readonly collector?: { readonly address: string; readonly port: number } | undefined
  /** Where our trust bundle is for everybody. Without a certificate of its own it shows control's SVID. Default nowhere. */
  readonly federation?: FederationPlace | undefined
  /** What a caller was let do lately, where this process has the log. */
  readonly preview?: QuarantineParts['preview']
  /** Routes of the audit that the admin door carries. */
  readonly mounted: readonly DoorApp[]
  /** The log's tables, where this process has them. */
  readonly db?: Db
  readonly now: NowNs
  readonly onEvent: OnEvent
}

export interface FederationPlace {
  readonly address: string
  readonly port: number
  readonly web?: Extract<BundleDoorParts['as'], { readonly key: string }>
}

export interface ControlPlane {
  readonly id: SpiffeId
  readonly door: Door
  readonly collector: Door | undefined
  readonly bundleDoor: Door | undefined
  readonly registrar: Registrar
  readonly sink: RecordSink
  /** Who a peer of another door is: by the bundles and the deny list that are in force. */
  readonly identify: Identify
  /** What other doors ask before they show the audit. */
  readonly reads: AuditReads
  snapshot(): MeshSnapshot
  /** Puts another configuration in force everywhere; resolves once it is recorded and served. */
  apply(config: Config): Promise<void>
  close(): Promise<void>
}

export interface ControlIdentity {
  readonly source: LiveIdentity
  /** What was issued so far is kept there now, and what is issued later before it is in use. */
  attach(sink: RecordSink): Promise<void>
}

/** Control holds the issuer's key, so it gives itself its certificate; the first one, before it can keep records. */
export async function controlIdentity(
  authority: Authority,
  nowMs: () => number,
  ttlMs?: number,
): Promise<ControlIdentity> {
  const early: IssuanceBody[] = []
  let keep = async (body: IssuanceBody): Promise<unknown> => early.push(body)
  const source = await localIdentitySource(authority, controlId(authority.trustDomain), {
    nowMs,
    random,
    ...(ttlMs !== undefined && { ttlMs }),
    keep: (body) => keep(body),
  })
  return {
    source,
    async attach(sink) {
      for (const body of early.splice(0)) await sink.keep(body)
      keep = async (body) => sink.keep(body)
    },
  }
}

export async function openControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { state, authority, now, onEvent } = options
  const { source } = options.identity
  const nowMs = (): number => Number(now() / 1_000_000n)
  const id = controlId(authority.trustDomain)
  const sink = await options.recorder.producer({ id, source, signHead: signHeadWith(source) })
  await options.identity.attach(sink)
  const { shared } = options
  const changed = new Set<() => void>()
  const tellAll = (): void => {
    for (const callback of changed) callback()
  }
  const denied = shared
    ? await sharedDenied(shared.document('denied'), tellAll)
    : await openDenied(join(state.root, 'denied.json'))
  const registrar = makeRegistrar({
    authority,
    tokens: shared?.tokens ?? fileTokens(join(state.ca, 'join-tokens.json')),
    sink,
    nowMs,
    random,
    svidTtlMs: options.config.settings.svidTtlMs,
    foreign: () => registrations.foreign(),
    onIssued: (id, leaf) => leaves.seen({ id, ...leaf }),
  })
  const reads = makeReads({
    sink: () => sink,
    authorize: accessBy(() => config, now),
  })
  const collectorTokens = openCollectorTokens(state.collectorTokens, nowMs)
  const health = makeHealth()
  const unexpected = (thrown: unknown): void => onEvent({ level: 'error', from: 'control', text: messageOf(thrown) })
  const rollbacks = await openRollbacks<RolledBack>(join(state.root, 'rolled-back.json'))
  const returned = await openRollbacks<ReturnedWeight>(join(state.root, 'returned-weights.json'))
  const oneByOne = inTurn()
  const quarantine: Quarantine = await runQuarantine({
    path: join(state.root, 'quarantine.json'),
    sink,
    actor: operator,
    nowMs,
    oneByOne,
    changed: serveAnew,
    unexpected,
  })
  /** What the mesh file says; in force is that without the canaries that were taken back, of policies and of versions. */
  let given = options.config
  let config = await inForce(given)
  /** Bundles by digest, of now and of before: a proxy may still be on its way to that. */
  const known = new Map<string, PolicyBundle>()
  /** Data, the same. */
  let served: readonly ServedData[] = []
  const publishedData = new Map<string, string>()

  const leaves = makeLeaves({
    ...{ shared, nowMs },
    // Proxies, what an agent serves, agents themselves and the auditor: others may come once and leave.
    renews: (id) => partOf(id) !== undefined || registrations.isServed(id) || isOfPart(id, authority.trustDomain),
  })
  const registrations = await openRegistrations({
    onIssued: (id, leaf) => leaves.seen({ id, ...leaf }),
    ...{ shared, state, authority, sink, actor: operator, nowMs, onEvent },
    settings: () => given.settings,
    denied: () => denied.current(),
    changed: tellAll,
  })
  await sink.keep(trustEvent(authority.bundle()))
  await publish(config)
  const partOf = partsOf(() => config.snapshot, sha256)
  // Both generations only grow, and so does their sum: a change of either makes every open connection be judged anew.
  const identify = makeIdentify(() => {
    const { generation, bundles } = source.current()
    return { generation: generation + denied.generation(), bundles, denied: denied.current() }
  }, verifySignature)

  const recovery = makeRecovery({
    store: shared?.recovery ?? fileBoundKeys(join(state.ca, 'recovery-keys.json'), nowMs),
    issue: registrar.reissue,
    denied: denied.current,
    isRegistered: (id) => partOf(id) !== undefined || registrations.isRegistered(id),
    withinMs: () => given.settings.recoveryMs,
    ...{ sink, nowMs },
    onProblem: (text) => onEvent({ level: 'warn', from: 'recovery keys', text }),
  })
  const applied = makeApplied({
    ...{ shared, nowMs },
    proxies: () => health.list(config.snapshot, (id) => partOf(id)?.name),
    isOfMesh: (id) => partOf(id) !== undefined,
  })
  const collecting = {
    collectorToken: (token: string) => collectorTokens.find(token),
    denied: () => ({ generation: denied.generation(), denied: denied.current() }),
    quarantine: () => config.snapshot.quarantine ?? [],
    nowMs,
    sink,
    unexpected,
    opaLog: makeOpaLog({ token: (token) => collectorTokens.find(token, 'logs'), sink, sha256, nowMs }),
  }
  const door = await openMeshDoor(
    {
      ...collecting,
      identity: source,
      registrar,
      recovery,
      registration: registrations.registration,
      identify,
      trust: () => authority.bundle(),
      foreign: registrations.foreign,
      distrusted: authority.distrusted,
      partOf,
      bundle: (digest) => known.get(digest)?.bytes,
      data: (digest) => served.find(({ sha256 }) => sha256 === digest)?.bytes,
      dataAgeMs: options.dataAgeMs,
      subscribe: (callback) => {
        changed.add(callback)
        return () => changed.delete(callback)
      },
      findReceipt: options.findReceipt,
      vault: options.vault,
      health,
      onReport: applied.onReport,
      onTrust: (identity, sequence) => {
        applied.onTrust(identity, sequence)
        leaves.seen(identity)
      },
      onTrials: (workload, trials) => oneByOne(() => takeBack(workload, trials)),
      onVersions: (workload, versions) => oneByOne(() => returnWeights(workload, versions)),
      nowMs,
    },
    options.listen,
  )
  const waiting = (): Promise<readonly string[]> => applied.waiting(preparedOf(authority.authorities()))
  const alarms = makeAlarms(nowMs, onEvent)
  const lifetimes = () => [lifetime('leaf', source.current().svid), ...authority.lifetimes()]
  const look = async (): Promise<void> => {
    const fault = authority.renewalFault()
    const why = { leaf: source.renewing().fault?.message, ...(fault !== undefined && { issuer: messageOf(fault) }) }
    const others = (await leaves.late()).flatMap(({ id, lifetime }) =>
      overdue(partOf(id)?.workloads.find((one) => one.id === id)?.name ?? id, [lifetime], nowMs()),
    )
    alarms.look([...overdue(authority.trustDomain, lifetimes(), nowMs(), why), ...others])
  }
  const deny = async (subject: string): Promise<void> => {
    await denied.add(subject)
    tellAll()
  }
  const untended = tendAuthority({ authority, sink, waiting, deny, nowMs, onEvent, look })
  const unsubscribe = authority.subscribe(() => {
    source.setBundles([authority.bundle(), ...registrations.foreign()])
    source.setDistrusted(authority.distrusted())
    tellAll()
  })
  const collector = options.collector && (await openCollectorDoor(collecting, options.collector))
  const bundleDoor =
    options.federation &&
    (await openBundleDoor(
      {
        bundle: () => ({ ...authority.bundle(), refreshHintS: refreshHintOf(given.settings.roots.publishMs) }),
        revocationList: keptFor(60_000, nowMs, denied.generation, () => authority.revocationList(denied.current())),
        as: options.federation.web ?? { identity: source },
        unexpected,
      },
      options.federation,
    ))
  const admin: AdminDoor = await openAdminDoor(state.adminSocket, {
    snapshot: () => config.snapshot,
    partOf,
    health,
    rolledBack: rollbacks.current,
    returned: returned.current,
    alarms: alarms.current,
    spool: () => ({ ...options.recorder.status() }) as never,
    createToken: (workload, ttlMs) => registrar.createToken(workload, ttlMs),
    createCollectorToken: (workload, ttlMs, right) => collectorTokens.create(workload, ttlMs, right),
    deny,
    sink,
    actor: operator,
    reads: recordedReads(reads, (claimed) => ({
      door: 'socket',
      reader: operator,
      ...(claimed !== undefined && { claimed }),
    })),
    mounted: [
      complianceRoutes({ sink: () => sink, actor: operator }),
      findingsRoutes({ ...(options.db && { db: options.db }), sink: () => sink, actor: operator }),
      ...options.mounted,
      authorityRoutes({ authority, waiting, sink: () => sink, nowMs }),
      metricsRoute(() => lifetimesText(lifetimes(), nowMs()) + alarmsText(alarms.current())),
      registrations.routes,
      quarantineRoutes({ ...quarantine, snapshot: () => config.snapshot, preview: options.preview, nowMs }),
    ],
    unexpected,
  })

  /** Recorded before it is served, so that no decision names a policy that the log does not know. */
  async function publish(next: Config): Promise<void> {
    await quarantine.keepNamed(next.snapshot.quarantine ?? [])
    for (const bundle of next.bundles) {
      if (known.has(bundle.ref.sha256)) continue
      await sink.keep({ kind: 'policy', action: 'published', ...bundle.ref })
      known.set(bundle.ref.sha256, bundle)
    }
    const needed = new Set([...next.bundles, ...config.bundles].map(({ ref }) => ref.sha256))
    for (const digest of known.keys()) if (!needed.has(digest)) known.delete(digest)
    for (const { name, bundle, revision, sha256 } of next.data) {
      if (publishedData.get(name) === sha256) continue
      await sink.keep({ kind: 'policy', action: 'data_published', bundle, data: name, revision, sha256 })
      publishedData.set(name, sha256)
    }
    served = [...next.data, ...(next === config ? [] : config.data)]
  }

  async function inForce(next: Config): Promise<Config> {
    const kept = stillMeant(rollbacks.current(), next.snapshot)
    if (kept.length < rollbacks.current().length) await rollbacks.put(kept)
    const onTrial = stillOnTrial(returned.current(), next.snapshot)
    if (onTrial.length < returned.current().length) await returned.put(onTrial)
    const judged = withoutRolledBack(next.snapshot, kept, sha256)
    const snapshot = withoutReturned(judged, onTrial, sha256)
    return { ...next, snapshot: withQuarantine(snapshot, quarantine.ordered(), sha256) }
  }

  /** A canary that took itself back in one proxy is taken back in all, and stays so over restarts. */
  async function takeBack(workload: SpiffeId, told: readonly TrialHealth[]): Promise<void> {
    const part = partOf(workload)
    const news = part ? rolledBackBy(part, workload, told, nowMs()) : []
    if (news.length === 0) return
    for (const one of news) {
      const detail = rolledBackText(one)
      await sink.keep({ kind: 'admin', action: 'canary_rolled_back', actor: workload, detail })
      onEvent({ level: 'warn', from: 'control', text: `the canary was taken back everywhere: ${detail}` })
    }
    await rollbacks.put([...rollbacks.current(), ...news])
    await serveAnew()
  }

  /** A weight that went back in one proxy goes back in all, and stays so over restarts. */
  async function returnWeights(workload: SpiffeId, told: readonly VersionHealth[]): Promise<void> {
    const part = partOf(workload)
    const news = part ? returnedBy(part, workload, told, nowMs()) : []
    if (news.length === 0) return
    for (const one of news) {
      const detail = returnedText(one)
      await sink.keep({ kind: 'admin', action: 'weight_returned', actor: workload, detail })
      onEvent({ level: 'warn', from: 'control', text: `the weight went back everywhere: ${detail}` })
    }
    await returned.put([...returned.current(), ...news])
    await serveAnew()
  }

  /** What else is in force changed, and the mesh file did not. */
  async function serveAnew(): Promise<void> {
    config = await inForce(given)
    tellAll()
  }

  return {
    id,
    door,
    collector,
    bundleDoor,
    identify,
    registrar,
    sink,
    reads,
    snapshot: () => config.snapshot,
    apply: (next) =>
      oneByOne(async () => {
        await publish(next)
        const effective = await inForce(next)
        const detail = effective.snapshot.name
        await sink.keep({ kind: 'admin', action: 'snapshot_applied', actor: 'control', detail })
        given = next
        config = effective
        registrations.apply()
        tellAll()
      }),
    async close() {
      quarantine.close()
      unsubscribe()
      await untended()
      await admin.close()
      registrations.close()
      await bundleDoor?.close()
      await collector?.close()
      await door.close()
      await sink.close()
    },
  }
}

/** Strangers may ask as often as they like: it is made anew when the generation moves or the time is over. */
function keptFor<T>(ms: number, nowMs: () => number, generation: () => number, make: () => T): () => T {
  let kept: { readonly value: T; readonly untilMs: number; readonly generation: number } | undefined
  return () => {
    if (kept && kept.generation === generation() && nowMs() < kept.untilMs) return kept.value
    kept = { value: make(), untilMs: nowMs() + ms, generation: generation() }
    return kept.value
  }
}

/** Who acts through the socket, as records name them. */
export const operator: string = `uid ${process.getuid?.() ?? 0}`
