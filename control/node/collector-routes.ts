/** Where others hand in their records. The token says for which workload, and for no other. */

import { WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { Quarantined } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { collected, letIn, makeCollector, maxCollectedBytes } from '../collector.ts'
import { problemResponse } from '../problem.ts'
import { type DoorApp, doorApp, readJson, type Unexpected } from './http.ts'
import { type OpaLog, takeUpload } from './opa-log.ts'

export interface CollectorParts {
  /** Whom a token speaks for; undefined where it is unknown or over. */
  readonly collectorToken: (token: string) => SpiffeId | undefined
  readonly denied: () => { readonly denied: ReadonlySet<string> }
  /** Callers that are cut off: functions are told with each answer. Default nobody. */
  readonly quarantine?: (() => readonly Quarantined[]) | undefined
  readonly nowMs?: () => number
  readonly sink: RecordSink
  readonly unexpected: Unexpected
  /** Takes decision logs as OPA uploads them. Default: nobody may send any. */
  readonly opaLog?: OpaLog | undefined
}

export function collectorRoutes(parts: CollectorParts): DoorApp {
  const app = doorApp(parts.unexpected)
  const collect = makeCollector(parts.sink)

  app.post('/v1/records', async (c) => {
    const workload = parts.collectorToken(bearerOf(c.req.header('authorization')))
    if (workload === undefined) return unauthorized('make one with writ token --collector')
    if (parts.denied().denied.has(workload)) throw new WritError('forbidden', `${workload} is on the deny list`)
    const given = await readJson(c.req.raw, maxCollectedBytes, collected)
    const quarantine = parts.quarantine?.() ?? []
    const told = quarantine.map(({ id, untilMs, reason }) => ({ id, until_ms: untilMs ?? null, reason }))
    const late = letIn(given.records, quarantine, parts.nowMs?.() ?? Date.now())
    if (late) {
      // It had not heard of it. It may not go on with this one, and refuses the next by itself.
      const detail = `${late} is in quarantine`
      return problemResponse({ code: 'forbidden', detail, more: { quarantine: told } })
    }
    return c.json({ ...(await collect(workload, given)), ...(told.length > 0 && { quarantine: told }) })
  })
  const { opaLog } = parts
  if (opaLog) {
    app.post('/logs', async (c) => {
      const workload = opaLog.token(bearerOf(c.req.header('authorization')))
      if (workload === undefined) return unauthorized('make one with writ token --logs')
      if (parts.denied().denied.has(workload)) throw new WritError('forbidden', `${workload} is on the deny list`)
      return takeUpload(c.req.raw, workload, opaLog)
    })
  }
  return app
}

function unauthorized(cure: string): Response {
  const headers = { 'www-authenticate': 'Bearer', connection: 'close' }
  return problemResponse({ code: 'unauthorized', detail: 'no collector token, or a wrong one', cure, headers })
}

const bearerOf = (header: string | undefined): string => /^Bearer ([\x21-\x7e]{1,1024})$/i.exec(header ?? '')?.[1] ?? ''
