/** The operator's routes for the certificate authority: where its rotation stands, and each step of it. */

import { Hono } from 'hono'
import { z } from 'zod'
import { type Authorities, type AuthorityTimes, preparedOf, withdrawAtMs } from '../../ca/authorities.ts'
import { WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'

export interface AuthorityParts {
  readonly authority: {
    readonly trustDomain: string
    readonly times: AuthorityTimes
    authorities(): Authorities
    issuerNotAfterMs(): number
    prepare(): Promise<void>
    activate(): Promise<void>
    undo(): Promise<void>
    pause(paused: boolean): Promise<void>
  }
  /** Names of the workloads that do not have the prepared root yet. */
  readonly waiting: () => readonly string[] | Promise<readonly string[]>
  readonly sink: () => RecordSink
  readonly nowMs: () => number
}

/** What GET /v1/authority answers. Times are RFC 3339. */
export interface AuthorityStatus {
  readonly trust_domain: string
  readonly sequence: number
  readonly paused: boolean
  readonly issuer_not_after: string
  /** In the order they were made; one is active. */
  readonly authorities: readonly {
    readonly id: string
    readonly phase: string
    readonly not_after: string
    readonly prepared_at: string
    readonly activated_at?: string
    readonly retired_at?: string
    /** Before this a prepared root does not sign by itself. */
    readonly signs_from?: string
    /** When a retired root leaves the bundle. */
    readonly withdrawn_from?: string
  }[]
  /** Workloads that do not have the prepared root yet. */
  readonly waiting: readonly string[]
}

const maxBodyBytes = 16 * 1024
const stepBody = z.strictObject({
  reason: z.string().min(1).max(512),
  by: z.string().min(1).max(128),
  force: z.boolean().exactOptional(),
})

export function authorityRoutes(parts: AuthorityParts): DoorApp {
  const { authority } = parts
  const app: DoorApp = new Hono<DoorEnv>()

  app.get('/v1/authority', async (c) => c.json(await statusOf(parts)))

  const steps = {
    prepare: () => authority.prepare(),
    activate: async (force: boolean) => {
      if (!force) await refuseEarly(parts)
      return authority.activate()
    },
    undo: () => authority.undo(),
    pause: () => authority.pause(true),
    resume: () => authority.pause(false),
  }
  for (const [name, step] of Object.entries(steps)) {
    app.post(`/v1/authority/${name}`, async (c) => {
      const { reason, by, force = false } = await readJson(c.req.raw, maxBodyBytes, stepBody)
      const detail = `${reason}${force ? ' (forced)' : ''}`
      await parts.sink().keep({ kind: 'admin', action: `authority_${name}_ordered`, actor: by, detail })
      await step(force)
      return c.json(await statusOf(parts))
    })
  }
  return app
}

/** Where somebody lacks the new root, what it signs is refused there. */
async function refuseEarly({ authority, waiting, nowMs }: AuthorityParts): Promise<void> {
  const prepared = preparedOf(authority.authorities())
  if (!prepared) return
  const lacking = await waiting()
  const early = prepared.preparedAtMs + authority.times.publishMs - nowMs()
  if (lacking.length === 0 && early <= 0) return
  const who = lacking.slice(0, 8).join(', ')
  const why = lacking.length > 0 ? `${lacking.length} workloads do not have its root yet: ${who}` : undefined
  throw new WritError('in_use', why ?? `its root is in the bundle for ${Math.ceil(early / 1000)} s too short a time`, {
    cure: 'wait, or give --force: whoever lacks the root refuses what it signs',
  })
}

const text = (ms: number): string => new Date(ms).toISOString()

async function statusOf({ authority, waiting }: AuthorityParts): Promise<AuthorityStatus> {
  const { sequence, paused, list } = authority.authorities()
  const { times } = authority
  return {
    trust_domain: authority.trustDomain,
    sequence,
    paused,
    issuer_not_after: text(authority.issuerNotAfterMs()),
    authorities: list.map((one) => {
      const endMs = withdrawAtMs(one, times)
      return {
        id: one.id,
        phase: one.phase,
        not_after: text(one.notAfterMs),
        prepared_at: text(one.preparedAtMs),
        ...(one.activatedAtMs !== undefined && { activated_at: text(one.activatedAtMs) }),
        ...(one.retiredAtMs !== undefined && { retired_at: text(one.retiredAtMs) }),
        ...(one.phase === 'prepared' && { signs_from: text(one.preparedAtMs + times.publishMs) }),
        ...(endMs !== undefined && { withdrawn_from: text(endMs) }),
      }
    }),
    waiting: await waiting(),
  }
}
