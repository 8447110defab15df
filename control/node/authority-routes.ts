/** The operator's routes for the certificate authority: where its rotation stands, and each step of it. */

import { Hono } from 'hono'
import { z } from 'zod'
import { type Authorities, type AuthorityTimes, preparedOf, withdrawAtMs } from '../../ca/authorities.ts'
import { denyAtMs, forgetAtMs, type WithFormer } from '../../ca/issuers.ts'
import type { Lifetime } from '../../ca/lifetimes.ts'
import { certificatesOf, pemOf, requestOf } from '../../ca/pem.ts'
import { parseCertificate } from '../../ca/x509.ts'
import { WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'

export interface AuthorityParts {
  readonly authority: {
    readonly trustDomain: string
    readonly times: AuthorityTimes
    authorities(): Authorities<WithFormer>
    lifetimes(): readonly Lifetime[]
    prepare(): Promise<void>
    activate(): Promise<void>
    undo(): Promise<void>
    rotateIssuer(distrust: boolean): Promise<void>
    undoIssuer(): Promise<void>
    pause(paused: boolean): Promise<void>
    import(chain: readonly Uint8Array[], key: string, distrust?: boolean): Promise<void>
    signIssuer(csrDer: Uint8Array): Promise<readonly Uint8Array[]>
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
    /** Issuers that sign no more, in the order that they did. */
    readonly former_issuers: readonly {
      readonly serial: string
      readonly not_after: string
      readonly retired_at: string
      /** Nothing that it signed is in use after this. */
      readonly forgotten_from: string
      /** Its key may be in other hands: what it signed is renewed at once, and refused from then on. */
      readonly distrusted_at?: string
      readonly denied_from?: string
      readonly denied_at?: string
    }[]
  }[]
  /** Workloads that do not have the prepared root yet. */
  readonly waiting: readonly string[]
}

const maxBodyBytes = 64 * 1024
const why = { reason: z.string().min(1).max(512), by: z.string().min(1).max(128) }
const stepBody = z.strictObject({ ...why, force: z.boolean().exactOptional() })
const distrust = z.boolean().exactOptional()
const issuerBody = z.strictObject({ ...why, distrust })
const pem = z
  .string()
  .min(1)
  .max(32 * 1024)
const importBody = z.strictObject({ ...why, chain: pem, key: pem, distrust })
const signBody = z.strictObject({ ...why, csr: pem })

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
    'undo-issuer': () => authority.undoIssuer(),
    pause: () => authority.pause(true),
    resume: () => authority.pause(false),
  }
  const keep = (what: string, actor: string, detail: string): unknown =>
    parts.sink().keep({ kind: 'admin', action: `authority_${what}`, actor, detail })
  for (const [name, step] of Object.entries(steps)) {
    app.post(`/v1/authority/${name}`, async (c) => {
      const { reason, by, force = false } = await readJson(c.req.raw, maxBodyBytes, stepBody)
      await keep(`${name.replace('-', '_')}_ordered`, by, `${reason}${force ? ' (forced)' : ''}`)
      await step(force)
      return c.json(await statusOf(parts))
    })
  }

  app.post('/v1/authority/rotate-issuer', async (c) => {
    const { reason, by, distrust = false } = await readJson(c.req.raw, maxBodyBytes, issuerBody)
    await keep('rotate_issuer_ordered', by, orderOf(reason, distrust))
    await authority.rotateIssuer(distrust)
    return c.json(await statusOf(parts))
  })

  app.post('/v1/authority/import', async (c) => {
    const { reason, by, chain, key, distrust } = await readJson(c.req.raw, maxBodyBytes, importBody)
    await keep('import_ordered', by, orderOf(reason, distrust))
    await authority.import(certificatesOf(chain), key, distrust)
    return c.json(await statusOf(parts))
  })

  app.post('/v1/authority/sign', async (c) => {
    const { reason, by, csr } = await readJson(c.req.raw, maxBodyBytes, signBody)
    await keep('sign_ordered', by, reason)
    const chain = await authority.signIssuer(requestOf(csr) ?? new Uint8Array())
    const read = parseCertificate(chain[0]!)
    // Kept before it is answered: no issuer is out there unrecorded.
    await keep('issuer_signed', by, `serial ${'certificate' in read ? read.certificate.serial : ''}`)
    return c.json({ chain: chain.map((der) => pemOf(der, 'CERTIFICATE')).join('') })
  })
  return app
}

const orderOf = (reason: string, distrust = false): string =>
  `${reason}${distrust ? ' (the former is distrusted)' : ''}`

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
    issuer_not_after: text(authority.lifetimes().find(({ kind }) => kind === 'issuer')!.notAfterMs),
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
        former_issuers: one.former.map((former) => {
          const { serial, notAfterMs, retiredAtMs, distrustedAtMs, deniedAtMs } = former
          const denyMs = denyAtMs(former, times)
          return {
            ...{ serial, not_after: text(notAfterMs), retired_at: text(retiredAtMs) },
            forgotten_from: text(forgetAtMs(one, former, times)),
            ...(distrustedAtMs !== undefined && { distrusted_at: text(distrustedAtMs) }),
            ...(denyMs !== undefined && { denied_from: text(denyMs) }),
            ...(deniedAtMs !== undefined && { denied_at: text(deniedAtMs) }),
          }
        }),
      }
    }),
    waiting: await waiting(),
  }
}
