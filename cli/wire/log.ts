/** The log's half of a process: store, signer and auditor, put together. */

import { join } from 'node:path'
import type { Finder } from '../../audit/findings/node/finder.ts'
import { type Auditor, type AuditorEvent, openAuditor } from '../../audit/node/auditor.ts'
import { makeFolder, writeWhole } from '../../audit/node/durable.ts'
import type { StreamEnds } from '../../audit/node/lost-doubts.ts'
import { openReconcile } from '../../audit/node/reconcile.ts'
import { type FileSigner, openFileSigner } from '../../audit/node/signer.ts'
import { openSignerClient } from '../../audit/node/signer-client.ts'
import { openStore, type Store, type StoreSettings } from '../../audit/node/store.ts'
import type { ReconcileRules } from '../../audit/reconcile/reconcile.ts'
import { verifyHead } from '../../ca/node/heads.ts'
import type { FindingsPlace } from '../../control/mesh/findings.ts'
import type { KeepingSettings } from '../../control/mesh/keeping.ts'
import type { OutsideSettings } from '../../control/mesh/outside.ts'
import { WritError } from '../../core/fault.ts'
import type { NowNs } from '../../core/ports.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import { software } from '../version.ts'
import { openFindings } from './findings.ts'
import { publishLog, retainLog } from './keeping.ts'
import { random, sha256 } from './machine.ts'
import { openOutside } from './outside.ts'
import type { OnEvent } from './telemetry.ts'

export interface Log {
  readonly store: Store
  readonly auditor: Auditor
  readonly verifierKey: string
  /** Findings of others, as the log's own. */
  readonly tell: Finder['tell']
  close(): Promise<void>
}

export interface LogOptions {
  /** Folder of the signer's key and last checkpoints; apart from the store, so that one cannot roll the other back. */
  readonly signerDir: string
  /** Socket of a signer that is another process. Default: this process signs, with the key in `signerDir`. */
  readonly signerSocket?: string
  /** Folder of tiles and checkpoints (C2SP tlog-tiles). */
  readonly logDir: string
  readonly store: StoreSettings
  readonly trustDomain: TrustDomain
  readonly cluster: string
  readonly rootsOf: (trustDomain: TrustDomain, atMs: number) => readonly Uint8Array[]
  readonly now: NowNs
  readonly onEvent: OnEvent
  /** After a restore: a store that is behind what was signed is brought up from the stream. Default false: refused. */
  readonly catchUp?: boolean
  /** Who outside is asked to vouch for checkpoints. Default nobody. */
  readonly outside?: OutsideSettings
  /** Where it is published, and how long it stays. Default: in its folder alone, for good. */
  readonly keeping?: KeepingSettings
  /** What the log tells by itself, and to whom; asked again for its settings. Default: with the usual numbers, to nobody. */
  readonly findings?: () => FindingsPlace
  /** Whose sidecars must each record their side of a call. Default: whoever was seen to have one. */
  readonly mesh?: () => MeshSnapshot
  /** The stream that is read, where it has partitions. Default: one alone. */
  readonly streamEnds?: StreamEnds
}

export async function openLog(options: LogOptions): Promise<Log> {
  const { trustDomain, cluster, rootsOf, now, logDir } = options
  const signer = await openSigner(options)
  const closing: (() => Promise<void>)[] = [() => signer.close()]
  const close = async (): Promise<void> => {
    for (const step of closing.reverse()) await step()
  }
  try {
    const store = await openStore(options.store, logDir)
    closing.push(() => store.close())
    const outside = await openOutside({ ...options, verifierKey: signer.verifierKey })
    const publisher = publishLog(options)
    if (publisher) closing.push(() => publisher.close()) // After the auditor, whose last checkpoint it publishes.
    const findings = await openFindings({ ...options, store })
    closing.push(() => findings.close())
    const auditor = await openAuditor({
      onStored: findings.finder.onStored,
      store,
      logDir,
      signer,
      trustDomain,
      cluster,
      software,
      verifyHead,
      rootsOf,
      now,
      random,
      sha256,
      onEvent: (event) => tell(event, options.onEvent),
      catchUp: options.catchUp === true,
      ...(options.streamEnds && { streamEnds: options.streamEnds }),
      ...outside,
    })
    closing.push(() => auditor.close())
    closing.push(async () => {
      await Promise.all([outside.witnesses?.close(), outside.timestamps?.close()]) // So that no round outlives the auditor.
    })
    closing.push(() => findings.finder.close())
    await findings.start(auditor)
    auditor.start()
    publisher?.start()
    const retention = retainLog(store, options)
    retention?.start()
    closing.push(async () => retention?.close())
    const reconcile = await openReconcile({
      store,
      rules: options.mesh ? sidecarsIn(options.mesh) : {},
      onEvent: ({ kind, detail }) => options.onEvent({ level: 'warn', from: 'reconcile', text: `${kind}: ${detail}` }),
    })
    closing.push(() => reconcile.close())
    return { store, auditor, verifierKey: signer.verifierKey, tell: findings.finder.tell, close }
  } catch (thrown) {
    await close()
    throw thrown
  }
}

/** By the mesh file: a workload that listens judges what comes in, one that calls notes its calls. */
function sidecarsIn(mesh: () => MeshSnapshot): ReconcileRules {
  const having = (direction: 'inbound' | 'outbound') => (): ReadonlySet<string> =>
    new Set(
      mesh()
        .workloads.filter(({ listeners }) => listeners.some((listener) => listener.direction === direction))
        .map(({ id }) => id),
    )
  return { inbound: having('inbound'), outbound: having('outbound') }
}

export async function openSigner({
  signerDir,
  signerSocket,
  logDir,
  trustDomain,
}: Pick<LogOptions, 'signerDir' | 'signerSocket' | 'logDir' | 'trustDomain'>): Promise<FileSigner> {
  const name = `${trustDomain}/audit`
  if (signerSocket === undefined) return openFileSigner({ dir: signerDir, name, sha256 })
  const signer = await openSignerClient({ socketPath: signerSocket, name, sha256 })
  await makeFolder(logDir)
  await writeWhole(join(logDir, 'log.pub'), `${signer.verifierKey}\n`) // Where commands look for it.
  return { ...signer, close: () => Promise.resolve() }
}

function tell(event: AuditorEvent, onEvent: OnEvent): void {
  switch (event.kind) {
    case 'anomaly': {
      const of = event.anomaly.of ? `${event.anomaly.of.epoch}-${event.anomaly.of.seq} ` : ''
      onEvent({ level: 'warn', from: 'auditor', text: `${event.anomaly.anomaly}: ${of}${event.anomaly.detail}` })
      return
    }
    case 'behind':
      onEvent({ level: 'warn', from: 'auditor', text: `shard ${event.shard}: ${event.error.message}` })
      return
    case 'ingested':
    case 'checkpoint':
      return
  }
}

/** The place of the store that a mesh file names; its URL stands in the environment, never in the file. */
export function storeOf(
  place: { readonly kind: 'embedded' } | { readonly kind: 'postgres'; readonly urlEnv: string },
  dir: string,
): StoreSettings {
  if (place.kind === 'embedded') return { kind: 'pglite', dir }
  const url = process.env[place.urlEnv]
  if (url) return { kind: 'postgres', url }
  throw new WritError('config_invalid', `the environment has no ${place.urlEnv}, where the store's URL should be`, {
    cure: `export ${place.urlEnv}=postgres://user:password@host:5432/writ`,
  })
}
