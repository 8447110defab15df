/** Doors of a `writ auditor` that runs by itself: the operator's socket, and that of outside auditors who have a grant. */

import { join } from 'node:path'
import { openSocketDoor } from '../../control/node/admin-door.ts'
import { makeReads, recordedReads } from '../../control/node/audit-reads.ts'
import { auditRoutes } from '../../control/node/audit-routes.ts'
import { openAuditorsDoor } from '../../control/node/auditors-door.ts'
import { checkRoutes } from '../../control/node/check-routes.ts'
import { complianceRoutes } from '../../control/node/compliance-routes.ts'
import { grantRoutes } from '../../control/node/grant-routes.ts'
import { openGrants } from '../../control/node/grants.ts'
import { doorApp } from '../../control/node/http.ts'
import type { Door } from '../../control/node/open-door.ts'
import type { StateFolder } from '../../control/node/state.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Identify, IdentitySource, NowNs, RecordSink } from '../../core/ports.ts'
import { parseDecisionId, type RecordId } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { accessBy } from './access.ts'
import { logPlace } from './audit.ts'
import type { ComplianceWatch } from './compliance-watch.ts'
import { type FederationPlace, operator } from './control-plane.ts'
import type { Log } from './log.ts'
import { sha256 } from './machine.ts'
import { type ReportQuestion, scopeOf } from './report.ts'
import type { OnEvent } from './telemetry.ts'

export interface AuditorDoorsOptions {
  readonly state: StateFolder
  readonly log: Log
  readonly compliance: ComplianceWatch
  /** Whose entries they are. */
  readonly producer: SpiffeId
  readonly identity: IdentitySource
  readonly identify: Identify
  /** Who may read, as the mesh file says. The auditor has no policies: where one is named, nobody reads here. */
  readonly settings: { readonly access?: { readonly bundle: string; readonly entrypoint: string } }
  /** Where outside auditors come. Default nowhere. */
  readonly auditors: FederationPlace | undefined
  readonly now: NowNs
  readonly onEvent: OnEvent
}

export interface AuditorDoors {
  readonly auditors: Door | undefined
  close(): Promise<void>
}

export async function openAuditorDoors(options: AuditorDoorsOptions): Promise<AuditorDoors> {
  const { state, log, compliance, identity, identify, settings, now, onEvent } = options
  const { auditor, store, verifierKey } = log
  const nowMs = (): number => Number(now() / 1_000_000n)
  const grants = await openGrants(join(state.root, 'auditor-grants.json'), nowMs)
  const sink = ownSink(log, options.producer)
  const { reporter } = compliance
  const place = logPlace(state.log, verifierKey, store.db)
  const report = (question: ReportQuestion) => reporter.make(place, question)
  const unexpected = (thrown: unknown): void => onEvent({ level: 'error', from: 'auditors', text: messageOf(thrown) })
  const reads = makeReads({ sink: () => sink, authorize: accessBy(() => ({ settings, bundles: [] }), now) })
  const app = doorApp(unexpected)
  const reader = (claimed: string | undefined) => ({
    ...({ door: 'socket', reader: operator } as const),
    ...(claimed !== undefined && { claimed }),
  })
  app.use(recordedReads(reads, reader))
  for (const routes of [
    auditRoutes({ place, findReceipt: auditor.findReceipt, report, nowMs }),
    checkRoutes(compliance),
    complianceRoutes({ sink: () => sink, actor: operator }),
    grantRoutes({
      ...{ grants, nowMs, sink: () => sink, actor: operator },
      scopeOf: async (text) => scopeOf(text === '' ? undefined : text, await reporter.declared()),
    }),
  ]) {
    app.route('/', routes)
  }
  const socket = await openSocketDoor(state.adminSocket, app)
  const auditors = await openOutside().catch(async (thrown: unknown) => {
    await socket.close()
    throw thrown
  })

  async function openOutside(): Promise<Door | undefined> {
    if (!options.auditors) return undefined
    return openAuditorsDoor(
      {
        ...{ identity, identify, web: options.auditors.web, grants, report, sha256, nowMs, verifierKey, unexpected },
        ...{ db: store.db, findReceipt: auditor.findReceipt, sink: () => sink },
        zones: async () => (await reporter.declared()).zones,
      },
      options.auditors,
    )
  }

  return {
    auditors,
    async close() {
      await Promise.all([auditors?.close(), socket.close()])
    },
  }
}

/**
 * Entries of the auditor's own, in the first log that it has: stored, and so in the next checkpoint, when `keep` resolves.
 * Rejects with `unavailable` where another auditor has all of them.
 */
function ownSink({ auditor }: Pick<Log, 'auditor'>, producer: SpiffeId): Pick<RecordSink, 'keep'> {
  return {
    async keep(body) {
      const shard = auditor.status().shards.find(({ shard }) => auditor.owns(shard))?.shard
      if (shard === undefined) {
        throw new WritError('unavailable', 'no partition is this auditor’s, so that it can record nothing', {
          cure: 'ask the auditor that has partition 0; `writ audit status` names them',
        })
      }
      let id: RecordId | undefined
      await auditor.append(shard, [body], async (_, ids) => {
        id = { producer, ...parseDecisionId(ids[0]!)! }
      })
      return id!
    },
  }
}
