/** The operator's routes for quarantine: who is in it, in with one, and out again. */

import { Hono } from 'hono'
import { z } from 'zod'
import { parseMoment } from '../../audit/query/moment.ts'
import type { Preview } from '../../audit/query/preview.ts'
import { WritError } from '../../core/fault.ts'
import type { MeshSnapshot, Quarantined } from '../../core/snapshot.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe.ts'
import { maxQuarantineMs, type Ordered } from '../quarantine.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'

export interface QuarantineParts {
  readonly snapshot: () => MeshSnapshot
  /** Those ordered by a command, of all that the snapshot names. */
  readonly ordered: () => readonly Ordered[]
  /** Recorded, kept and served when it resolves. */
  readonly order: (one: Pick<Ordered, 'id' | 'untilMs' | 'reason' | 'by'>) => Promise<void>
  /** False where none was ordered for this caller. */
  readonly lift: (id: SpiffeId, by: string, reason: string) => Promise<boolean>
  /** What a caller was let do. Default: this process has no log to look into. */
  readonly preview?: ((caller: SpiffeId, fromMs: number, toMs: number) => Promise<Preview>) | undefined
  readonly nowMs: () => number
}

const maxBodyBytes = 16 * 1024

const who = z.string().min(1).max(2048)
const text = z.string().min(1).max(512)
const person = z.string().min(1).max(128)
const orderBody = z.strictObject({ id: who, for_ms: z.int().min(1000).max(maxQuarantineMs), reason: text, by: person })
const liftBody = z.strictObject({ id: who, by: person, reason: text })

export function quarantineRoutes(parts: QuarantineParts): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()

  app.get('/v1/quarantine', (c) => {
    const ordered = new Map(parts.ordered().map((one) => [one.id, one]))
    return c.json({ quarantine: (parts.snapshot().quarantine ?? []).map((one) => listed(one, ordered.get(one.id))) })
  })

  app.get('/v1/quarantine/preview', async (c) => {
    const caller = callerOf(c.req.query('caller') ?? '', parts.snapshot())
    const nowMs = parts.nowMs()
    const fromMs = parseMoment(c.req.query('since') ?? '24h', nowMs, 'since')
    if (parts.preview) return c.json(await parts.preview(caller, fromMs, nowMs))
    throw new WritError('not_found', 'this process has no log to look into', {
      cure: 'ask the store: writ quarantine ID --preview --database postgres://…',
    })
  })

  app.post('/v1/quarantine', async (c) => {
    const { id, for_ms, reason, by } = await readJson(c.req.raw, maxBodyBytes, orderBody)
    const caller = callerOf(id, parts.snapshot())
    const untilMs = parts.nowMs() + for_ms
    await parts.order({ id: caller, untilMs, reason, by })
    return c.json({ id: caller, until: new Date(untilMs).toISOString(), reason, by })
  })

  app.post('/v1/quarantine/lift', async (c) => {
    const { id, by, reason } = await readJson(c.req.raw, maxBodyBytes, liftBody)
    const caller = callerOf(id, parts.snapshot())
    if (!(await parts.lift(caller, by, reason))) {
      const inFile = parts.snapshot().quarantine?.some((one) => one.id === caller)
      throw new WritError('not_found', `nobody ordered a quarantine of ${caller}`, {
        cure: inFile ? 'take its Quarantine out of the mesh file' : '`writ quarantine list` names those that there are',
      })
    }
    const still = parts.snapshot().quarantine?.some((one) => one.id === caller) ?? false
    return c.json({ id: caller, lifted: true, still_in_mesh_file: still })
  })

  return app
}

const listed = ({ id, untilMs, reason }: Quarantined, ordered: Ordered | undefined) => ({
  id,
  until: untilMs === undefined ? null : new Date(untilMs).toISOString(),
  reason,
  // Where the mesh file asks for longer, its word is the one in force.
  ...(ordered && ordered.untilMs === untilMs
    ? { source: 'command', by: ordered.by, actor: ordered.actor, at: ordered.at }
    : { source: 'mesh file' }),
})

/** A Workload by its name, or any SPIFFE id: callers of other trust domains can be cut off too. */
export function callerOf(text: string, mesh: MeshSnapshot): SpiffeId {
  const id = mesh.workloads.find(({ name }) => name === text)?.id ?? parseSpiffeId(text)
  if (id) return id
  throw new WritError('not_found', `${text} is neither a workload nor a SPIFFE id`, {
    cure: 'give the whole id, as in spiffe://bank.example/batch',
  })
}
