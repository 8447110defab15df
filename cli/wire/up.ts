/** A whole mesh in one process: issuer, control, log, page, and the sidecar of every workload. */

import { join } from 'node:path'
import { Hono } from 'hono'
import { findSealed } from '../../audit/node/disclose.ts'
import { type Examined, verifyPlace } from '../../audit/node/examine.ts'
import { counts } from '../../audit/query/node/edges.ts'
import { previewOf } from '../../audit/query/node/preview.ts'
import { recordsUnder } from '../../audit/store/disclosures.ts'
import { openAuthority } from '../../ca/node/authority.ts'
import type { ConsoleData } from '../../console/data.ts'
import { recordedReads } from '../../control/node/audit-reads.ts'
import { auditRoutes } from '../../control/node/audit-routes.ts'
import { openAuditorsDoor } from '../../control/node/auditors-door.ts'
import { checkRoutes } from '../../control/node/check-routes.ts'
import { disclosureRoutes } from '../../control/node/disclosure-routes.ts'
import { grantRoutes } from '../../control/node/grant-routes.ts'
import { openGrants } from '../../control/node/grants.ts'
import type { DoorEnv } from '../../control/node/http.ts'
import type { Door } from '../../control/node/open-door.ts'
import { openPageDoor, type PageDoor } from '../../control/node/page-door.ts'
import { openState } from '../../control/node/state.ts'
import type { ComplianceReport } from '../../core/compliance.ts'
import { messageOf } from '../../core/fault.ts'
import type { PolicyBundle } from '../../core/policy.ts'
import type { NowNs } from '../../core/ports.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import { readPolicyFolder } from '../../engine/node/open.ts'
import { openCertificates } from '../../proxy/node/certificates.ts'
import { logPlace } from './audit.ts'
import { authorityOptions } from './authority.ts'
import { type ComplianceWatch, openComplianceWatch } from './compliance-watch.ts'
import { type Config, compileConfig, compileMeshOnly } from './config.ts'
import {
  type ControlPlane,
  controlIdentity,
  type FederationPlace,
  openControlPlane,
  operator,
} from './control-plane.ts'
import { inTurn } from './in-turn.ts'
import { endsOf, openIngest } from './ingest.ts'
import { joinAs } from './join.ts'
import { openKnownRoots } from './known-roots.ts'
import { type Log, openLog, storeOf } from './log.ts'
import { openClock, random, sha256 } from './machine.ts'
import { meshClient } from './mesh-client.ts'
import { pageData, pageRoutes } from './page.ts'
import { pause } from './pause.ts'
import { openDataSources } from './policy-data.ts'
import { openPolicySources } from './policy-sources.ts'
import { type ReportQuestion, scopeOf, writeReport } from './report.ts'
import { openSidecar, type Sidecar } from './sidecar.ts'
import { openSpool, openStream } from './stream.ts'
import type { OnEvent } from './telemetry.ts'
import { openTokens } from './tokens.ts'
import { openDisclosureVault } from './vault.ts'

export interface UpOptions {
  /** Text of the mesh file, and its name for messages. */
  readonly mesh: string
  readonly meshFile: string
  readonly state: string
  /** Folder of compiled policies: `<dir>/<bundle>/bundle.tar.gz`. */
  readonly policiesDir: string
  /** Port of the page. Default: a free one. */
  readonly pagePort?: number
  /** Where workloads outside this process join. Default: a free port on loopback. */
  readonly listen?: { readonly address: string; readonly port: number }
  /** Where edge functions hand in their records, on loopback. Default nowhere. */
  readonly collector?: { readonly address: string; readonly port: number }
  /** Where our trust bundle is for everybody. Default nowhere. */
  readonly federation?: FederationPlace | undefined
  /** Where outside auditors come who have a grant. Default nowhere. */
  readonly auditors?: FederationPlace | undefined
  /** Socket of a signer that is another process. Default: this process signs. */
  readonly signerSocket?: string
  /** Folder of what gateways show. Default `secrets` in the state folder. */
  readonly secretsDir?: string
  /** Time between two drills of each sidecar, in milliseconds; the first is at the start. Default none are made. */
  readonly drillEveryMs?: number | undefined
  readonly onEvent: OnEvent
}

export interface Up {
  readonly pageUrl: string
  readonly control: ControlPlane
  readonly log: Log
  readonly sidecars: readonly Sidecar[]
  readonly compliance: ComplianceWatch
  readonly auditorsDoor: Door | undefined
  readonly verifierKey: string
  readonly logDir: string
  snapshot(): MeshSnapshot
  /** Puts another mesh file, or other bundles, in force; resolves once every sidecar runs it. */
  apply(mesh: string, bundles: readonly PolicyBundle[]): Promise<void>
  bundles(): readonly PolicyBundle[]
  /** Resolves once everything kept so far is under a signed checkpoint, or after that time. */
  settled(timeoutMs: number): Promise<void>
  /** Inbound decisions in the log so far. */
  inboundCounts(): Promise<{ readonly allowed: number; readonly denied: number; readonly faults: number }>
  /** What the page shows. */
  page(): Promise<ConsoleData>
  /** The log from its files, and every row of the store against it. */
  verify(): Promise<Examined>
  /** All checks over all of the log, in a signed folder. */
  writeReport(out: string): Promise<ComplianceReport>
  close(): Promise<void>
}

/** Time that requests in flight get when the mesh stops, in milliseconds. */
const drainMs = 5000

export async function openUp(options: UpOptions): Promise<Up> {
  const { onEvent } = options
  const now: NowNs = openClock()
  const nowMs = (): number => Number(now() / 1_000_000n)
  const authenticate = openTokens(onEvent)
  const closing: (() => unknown)[] = []
  const close = async (): Promise<void> => {
    for (const step of closing.reverse()) {
      try {
        await step()
      } catch (thrown) {
        onEvent({ level: 'error', from: 'stop', text: messageOf(thrown) })
      }
    }
    closing.length = 0
  }

  try {
    const state = openState(options.state)
    closing.push(() => state.release())
    const { meshFile } = options
    let mesh = options.mesh
    let bundles = await readPolicyFolder(options.policiesDir)
    const sources = openPolicySources({ dir: join(state.root, 'policy-sources'), meshFile, now, onEvent })
    closing.push(() => sources.close())
    const data = openDataSources({ dir: join(state.root, 'policy-data'), meshFile, now, onEvent })
    closing.push(() => data.close())
    const follow = async (mesh: string, given: readonly PolicyBundle[]): Promise<void> => {
      const { policySources, policyData } = compileMeshOnly(mesh, meshFile, given).settings
      await sources.follow(policySources)
      await data.follow(policyData)
    }
    const compileWith = async (mesh: string, given: readonly PolicyBundle[], logKey: string): Promise<Config> => {
      const all = sources.over(given)
      return compileConfig(mesh, meshFile, all, logKey, onEvent, await data.over(all))
    }
    await follow(mesh, bundles)
    const draft = await compileWith(mesh, bundles, '')
    const { trustDomain, cluster, stream } = draft.snapshot
    const authority = await openAuthority({
      ...{ dir: state.ca, trustDomain, nowMs, random },
      ...authorityOptions(draft.settings),
    })

    const roots = openKnownRoots(state.root, nowMs)
    roots.update(authority.bundle())
    closing.push(authority.subscribe(() => roots.update(authority.bundle())))

    let inForce = draft.snapshot
    const log = await openLog({
      signerDir: join(state.root, 'signer'),
      ...(options.signerSocket !== undefined && { signerSocket: options.signerSocket }),
      logDir: state.log,
      store: storeOf(draft.settings.store, state.store),
      trustDomain,
      cluster,
      rootsOf: roots.at,
      now,
      onEvent,
      outside: draft.settings.outside,
      keeping: draft.settings.keeping,
      findings: () => draft.settings.findings,
      mesh: () => inForce,
      ...(stream.kind === 'kafka' && { streamEnds: endsOf(stream) }),
    })
    closing.push(() => log.close())
    const { auditor } = log
    const place = logPlace(state.log, log.verifierKey, log.store.db)
    const compliance = openComplianceWatch({
      ...{ log, place, meshFile, nowMs, onEvent, settings: draft.settings.compliance },
      signKey: join(state.root, 'report.key'),
    })
    closing.push(() => compliance.close())
    const { reporter } = compliance
    const report = (question: ReportQuestion): Promise<ComplianceReport> => reporter.make(place, question)
    const grants = await openGrants(join(state.root, 'auditor-grants.json'), nowMs)
    if (stream.kind === 'kafka') {
      const ingest = await openIngest(stream, auditor, onEvent)
      closing.push(() => ingest.close())
    }
    const compile = (mesh: string, given: readonly PolicyBundle[]): Promise<Config> =>
      compileWith(mesh, given, log.verifierKey)

    const toLog = await openStream(stream, 'writ-up', onEvent, auditor)
    closing.push(() => toLog.close())
    const vault = await openDisclosureVault(state.root)
    const recorder = await openSpool({
      dir: state.spool,
      snapshot: draft.snapshot,
      stream: toLog,
      findReceipt: auditor.findReceipt,
      vault,
      logKey: () => log.verifierKey,
      now,
      onEvent,
    })
    closing.push(async () => {
      await recorder.close({ timeoutMs: 10_000 })
      await auditor.checkpoint()
    })

    const identity = await controlIdentity(authority, nowMs, draft.settings.svidTtlMs)
    closing.push(() => identity.source.close())
    const control = await openControlPlane({
      state,
      authority,
      identity,
      recorder,
      config: await compile(mesh, bundles),
      findReceipt: auditor.findReceipt,
      vault,
      dataAgeMs: data.ageMs,
      listen: options.listen ?? { address: '127.0.0.1', port: 0 },
      collector: options.collector,
      federation: options.federation,
      db: log.store.db,
      preview: (caller, fromMs, toMs) => previewOf(log.store.db, caller, fromMs, toMs),
      mounted: [
        auditRoutes({ place, findReceipt: auditor.findReceipt, report, nowMs }),
        checkRoutes(compliance),
        grantRoutes({
          ...{ grants, nowMs, sink: () => control.sink, actor: operator },
          scopeOf: async (text) => scopeOf(text === '' ? undefined : text, await reporter.declared()),
        }),
        disclosureRoutes({
          find: (id) => findSealed(log.store.db, id),
          findUnder: (keys, most) => recordsUnder(log.store.db, keys, most),
          ...{ vault, sink: () => control.sink, sha256 },
        }),
        sources.routes,
        data.routes,
      ],
      now,
      onEvent,
    })
    closing.push(() => control.close())
    const oneByOne = inTurn()
    const again = (): void => {
      oneByOne(async () => control.apply(await compile(mesh, bundles))).catch((thrown: unknown) =>
        onEvent({ level: 'error', from: 'control', text: messageOf(thrown) }),
      )
    }
    sources.attach(control.sink, again)
    data.attach(control.sink, again)

    closing.push(() => Promise.all([sources.close(), data.close()])) // Before control: what comes now is for the next start.

    const url = `https://${control.door.address}:${control.door.port}`
    const certificates = openCertificates({ dir: options.secretsDir ?? join(state.root, 'secrets'), onEvent })
    closing.push(() => certificates.close())
    const sidecars: Sidecar[] = []
    closing.push(() => Promise.all(sidecars.map((sidecar) => sidecar.close(drainMs))))
    for (const workload of control.snapshot().workloads) {
      const dir = join(state.root, 'workloads', workload.name)
      const source = await joinAs({
        dir: join(dir, 'identity'),
        url,
        expect: control.id,
        token: () => control.registrar.createToken(workload.id),
        id: workload.id,
        nowMs,
        onEvent,
      })
      const client = meshClient({ url, expect: control.id, source, nowMs })
      const sidecar = await openSidecar({
        dir,
        source,
        client,
        recorder: async () => recorder,
        authenticate,
        certificates,
        reusePort: false,
        drillEveryMs: options.drillEveryMs,
        now,
        onEvent,
      })
      sidecars.push({
        ...sidecar,
        async close(ms) {
          await sidecar.close(ms)
          source.close()
        },
      })
    }

    const auditorsDoor =
      options.auditors &&
      (await openAuditorsDoor(
        {
          ...{ identity: identity.source, web: options.auditors.web, grants, report, sha256, nowMs },
          identify: control.identify,
          ...{ db: log.store.db, findReceipt: auditor.findReceipt, verifierKey: log.verifierKey },
          zones: async () => (await reporter.declared()).zones,
          sink: () => control.sink,
          unexpected: (thrown) => onEvent({ level: 'error', from: 'auditors', text: messageOf(thrown) }),
        },
        options.auditors,
      ))
    closing.push(() => auditorsDoor?.close())
    const page: PageDoor = await openPageDoor(
      new Hono<DoorEnv>()
        .use(recordedReads(control.reads, () => ({ door: 'page', reader: 'token of the page' })))
        .route(
          '/',
          pageRoutes(log, place.dir, report, compliance.status, () => control.snapshot(), nowMs),
        ),
      (thrown) => onEvent({ level: 'error', from: 'page', text: messageOf(thrown) }),
      options.pagePort === undefined ? {} : { port: options.pagePort },
    )
    closing.push(() => page.close())

    return {
      pageUrl: page.url,
      control,
      log,
      sidecars,
      compliance,
      auditorsDoor,
      verifierKey: log.verifierKey,
      logDir: state.log,
      snapshot: () => control.snapshot(),
      bundles: () => bundles,
      async apply(next, given) {
        await oneByOne(async () => {
          await follow(next, given)
          await control.apply(await compile(next, given))
          mesh = next
          inForce = control.snapshot()
          bundles = given
        })
        const due = Date.now() + 10_000
        while (sidecars.some((sidecar) => !sidecar.isCurrent(control.snapshot())) && Date.now() < due) {
          await pause(20, AbortSignal.timeout(1000))
        }
      },
      async settled(timeoutMs) {
        const over = new AbortController()
        await pause(control.snapshot().audit.headEveryMs + 200, over.signal) // So that a head stands behind the last record.
        // Aborted, since the timer of a pause that lost the race would keep the process alive.
        await Promise.race([recorder.flushed().finally(() => over.abort()), pause(timeoutMs, over.signal)])
        await auditor.checkpoint()
      },
      async inboundCounts() {
        return counts(log.store.db)
      },
      page: () => pageData(log, control.snapshot(), state.log, nowMs()),
      verify: () => verifyPlace(place),
      async writeReport(out) {
        const made = await report({})
        await writeReport(made, place, { out, signKey: join(state.root, 'report.key') })
        return made
      },
      close,
    }
  } catch (thrown) {
    await close()
    throw thrown
  }
}
