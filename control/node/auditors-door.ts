/**
 * The door of outside auditors: what lies in the scope and the time of a grant, and nothing else. They draw a sample by a
 * seed of their own, read its records as they are in the log, and take the proofs along. Each access is an entry first.
 */

import { Hono } from 'hono'
import { leafHash } from '../../audit/log/merkle.ts'
import { formatReceipt } from '../../audit/log/receipt.ts'
import { findLeaf } from '../../audit/query/node/leaf.ts'
import { scopeTest, type Zones } from '../../audit/report/gather/scope.ts'
import type { Db } from '../../audit/store/schema.ts'
import { toHex } from '../../core/bytes.ts'
import type { CheckResult, ComplianceReport, ComplianceScope } from '../../core/compliance.ts'
import { WritError } from '../../core/fault.ts'
import type { FindReceipt, Identify, IdentitySource, RecordSink, Sha256 } from '../../core/ports.ts'
import { type AuditEvent, decisionId, parseDecisionId, parseEvent } from '../../core/record.ts'
import type { Grant, Grants } from './grants.ts'
import { type DoorApp, type DoorEnv, doorApp, type Unexpected } from './http.ts'
import { openMtlsDoor } from './mtls.ts'
import type { Door, DoorOptions } from './open-door.ts'
import { peers } from './peer.ts'

export interface AuditorsParts {
  readonly identity: IdentitySource
  /** A certificate of the Web PKI to serve with, PEM. Default: our SVID. */
  readonly web?: { readonly certificates: string; readonly key: string } | undefined
  readonly identify: Identify
  readonly grants: Grants
  readonly db: Db
  readonly findReceipt: FindReceipt
  readonly verifierKey: string
  readonly sha256: Sha256
  /** Declared zones, by which scopes may be told. */
  readonly zones: () => Promise<Zones>
  readonly report: (question: {
    readonly scope: ComplianceScope
    readonly fromMs: number
    readonly toMs: number
    readonly seed: string
  }) => Promise<ComplianceReport>
  readonly sink: () => Pick<RecordSink, 'keep'>
  readonly nowMs: () => number
  /** Requests of one grant in a minute: each is an entry of the log. Default 600. */
  readonly maxPerMinute?: number
  readonly unexpected: Unexpected
}

export function openAuditorsDoor(parts: AuditorsParts, options: DoorOptions = {}): Promise<Door> {
  const refused = (): void => undefined
  const { identity, unexpected, web } = parts
  return openMtlsDoor({ app: auditorsApp(parts), identity, refused, unexpected, ...(web && { web }) }, options)
}

function auditorsApp(parts: AuditorsParts): DoorApp {
  const { grants, db, findReceipt, sha256, report, nowMs, maxPerMinute = 600 } = parts
  const app = doorApp(parts.unexpected)
  const peerOf = peers()
  const asked = new Map<string, { readonly minute: number; count: number }>()
  let drawing = false

  async function grantOf(request: Request, socket: unknown): Promise<Grant> {
    const token = /^Bearer (\S{1,128})$/.exec(request.headers.get('authorization') ?? '')?.[1]
    if (token !== undefined) {
      const found = grants.find({ token })
      if (found) return found
      throw new WritError('unauthorized', 'this token is unknown, over or revoked', {
        cure: 'ask whoever gave it to you',
      })
    }
    const identified = await parts.identify(peerOf(socket as never), nowMs())
    const found = identified.ok ? grants.find({ id: identified.identity.id }) : undefined
    if (found) return found
    throw new WritError('unauthorized', 'this door is for auditors who have a grant', {
      cure: 'send its token as `authorization: Bearer …`, or the certificate that it is for',
    })
  }

  function limited({ name }: Grant): void {
    const minute = Math.floor(nowMs() / 60_000)
    const known = asked.get(name)
    if (known?.minute !== minute) asked.set(name, { minute, count: 1 })
    else if (++known.count > maxPerMinute) {
      throw new WritError('unavailable', `more than ${maxPerMinute} requests in a minute`, {
        cure: 'go on in a minute',
      })
    }
  }

  /** In the log before it is handed out, or refused. */
  const told = async (
    grant: Grant,
    action: string,
    question: string,
    count: number,
    reason?: string,
  ): Promise<void> => {
    await parts.sink().keep({
      ...{ kind: 'audit_read', door: 'auditor', reader: `auditor ${grant.name}`, action },
      ...{ question: question.slice(0, 1024).toWellFormed(), verdict: reason === undefined ? 'allow' : 'deny' },
      ...{ ...(reason !== undefined && { reason }), count, times: 1 },
    })
  }

  const refuse = async (grant: Grant, action: string, question: string, reason: string): Promise<never> => {
    await told(grant, action, question, 0, reason)
    throw new WritError('forbidden', `${reason}: the grant ${grant.name} is for ${boundsOf(grant)}`, {
      cure: 'ask for a grant that covers it',
    })
  }

  const routes: DoorApp = new Hono<DoorEnv>()
  const bound = async (c: { req: { raw: Request }; env: DoorEnv['Bindings'] }): Promise<Grant> => {
    const grant = await grantOf(c.req.raw, c.env.incoming.socket)
    limited(grant)
    return grant
  }

  routes.get('/v1/grant', async (c) => {
    const grant = await bound(c)
    await told(grant, 'grant', c.req.path, 1)
    const { name, scope, fromMs, toMs, untilMs } = grant
    return c.json({
      name,
      scope,
      from: iso(fromMs),
      to: iso(toMs),
      until: iso(untilMs),
      verifierKey: parts.verifierKey,
    })
  })

  routes.get('/v1/sample', async (c) => {
    const grant = await bound(c)
    const { seed = '', check } = c.req.query()
    if (!/^[0-9a-f]{16}$/.test(seed)) throw new WritError('usage', 'seed takes 16 hex digits that you choose')
    if (drawing)
      throw new WritError('unavailable', 'a sample is being drawn already', { cure: 'try again in a moment' })
    drawing = true
    try {
      const toMs = Math.min(grant.toMs, nowMs())
      if (toMs <= grant.fromMs) throw new WritError('usage', 'the time of this grant has not begun')
      const made = await report({ scope: grant.scope, fromMs: grant.fromMs, toMs, seed })
      const checks = made.checks.filter(({ id }) => check === undefined || id === check)
      if (checks.length === 0) throw new WritError('usage', `there is no check ${check}`)
      const test = await testOf(grant)
      const shown = []
      for (const one of checks) shown.push(await drawnOf(one, test))
      const count = new Set(shown.flatMap(({ sample }) => sample.map(({ id }) => id))).size
      await told(grant, 'sample', `${c.req.path}?seed=${seed}${check === undefined ? '' : `&check=${check}`}`, count)
      const { from, to, checkpoints } = made
      return c.json({ seed, from, to, scope: grant.scope.name, checkpoints, checks: shown })
    } finally {
      drawing = false
    }
  })

  /** Whose records a check counted may be told; of whom else they are, is not. */
  async function drawnOf(check: CheckResult, test: (event: AuditEvent) => string | undefined) {
    const { id, title, measures, verdict, finding, numerator, denominator, threshold } = check
    const sample = []
    for (const place of check.sample) {
      const found = await leafOf(place.id)
      if (found && test(found.event) === undefined) sample.push(place)
    }
    const withheld = check.sample.length - sample.length
    return { id, title, measures, verdict, finding, numerator, denominator, threshold, sample, withheld }
  }

  routes.get('/v1/record/:id', async (c) => {
    const { bytes, shard, index } = await read(await bound(c), 'record', c.req.param('id'))
    return c.body(new Uint8Array(bytes), 200, {
      ...{ 'content-type': 'application/json', 'writ-shard': String(shard), 'writ-index': String(index) },
      'writ-leaf-hash': toHex(leafHash(sha256, bytes)),
    })
  })

  routes.get('/v1/record/:id/proof', async (c) => {
    const { event } = await read(await bound(c), 'proof', c.req.param('id'))
    const receipt = await findReceipt(event)
    if (!receipt) {
      throw new WritError('unavailable', `no checkpoint covers ${decisionId(event)} yet`, {
        cure: 'one is signed each second',
      })
    }
    return c.text(formatReceipt(receipt))
  })

  async function leafOf(id: string) {
    const parsed = parseDecisionId(id)
    const leaf = parsed && (await findLeaf(db, parsed))
    const found = leaf && parseEvent(leaf.bytes)
    return leaf && found && 'event' in found ? { ...leaf, event: found.event } : undefined
  }

  /** Throws `forbidden` for what the grant is not for, and `not_found` for what is not there. */
  async function read(grant: Grant, action: string, id: string) {
    const found = await leafOf(id)
    if (!found) {
      await told(grant, action, id, 0)
      throw new WritError('not_found', `there is no record ${id.slice(0, 64)}`, { cure: 'a sample names its records' })
    }
    const reason = (await testOf(grant))(found.event)
    if (reason !== undefined) return refuse(grant, action, id, reason)
    await told(grant, action, id, 1)
    return found
  }

  async function testOf({ scope, fromMs, toMs }: Grant): Promise<(event: AuditEvent) => string | undefined> {
    const inScope = scopeTest(scope, await parts.zones())
    return (event) => {
      const atMs = Date.parse(event.timestamp)
      if (!(atMs >= fromMs && atMs < toMs)) return 'the record is of another time'
      if (ofEverybody.includes(event.kind)) return undefined
      const { workload, service } = event as unknown as { readonly workload?: unknown; readonly service?: unknown }
      const id = typeof workload === 'string' ? workload : event.producer
      return inScope(id, typeof service === 'string' ? service : undefined) ? undefined : 'the record is out of scope'
    }
  }

  app.route('/', routes)
  return app
}

/** What the mesh's policies, its roots and its log were is part of every scope; all else is of a workload. */
const ofEverybody: readonly string[] = ['policy', 'trust', 'log', 'report', 'attestation']

const iso = (ms: number): string => new Date(ms).toISOString()
const boundsOf = ({ scope, fromMs, toMs }: Grant): string => `${scope.name} from ${iso(fromMs)} to ${iso(toMs)}`
