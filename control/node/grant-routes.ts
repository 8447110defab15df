/** Grants of outside auditors, as the operator gives and takes them. Each is an entry. */

import { Hono } from 'hono'
import { z } from 'zod'
import type { ComplianceScope } from '../../core/compliance.ts'
import { WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe.ts'
import type { Grant, Grants } from './grants.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'

export interface GrantParts {
  readonly grants: Grants
  /** As `--scope` has it. Throws `usage`. */
  readonly scopeOf: (text: string) => Promise<ComplianceScope>
  readonly sink: () => Pick<RecordSink, 'keep'>
  readonly actor: string
  readonly nowMs: () => number
}

const time = z.iso.datetime({ offset: true })
const body = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9._@ -]{1,128}$/, 'letters, digits, spaces, ".", "_", "@" and "-", 128 at most'),
  scope: z.string().min(1).max(1024).exactOptional(),
  ...{ from: time, to: time, until: time },
  id: z
    .custom<SpiffeId>((it) => typeof it === 'string' && parseSpiffeId(it) !== undefined, 'a SPIFFE id')
    .exactOptional(),
})

/** Longest life of a grant, in milliseconds: 400 days. */
const maxLifeMs = 400 * 86_400_000

export function grantRoutes({ grants, scopeOf, sink, actor, nowMs }: GrantParts): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  const keep = (action: string, detail: string) => sink().keep({ kind: 'admin', action, actor, detail })

  app.get('/v1/grants', (c) => c.json({ grants: grants.list().map(shown) }))

  app.post('/v1/grants', async (c) => {
    const { name, scope = '', from, to, until, id } = await readJson(c.req.raw, 16 * 1024, body)
    const [fromMs, toMs, untilMs] = [from, to, until].map(Date.parse) as [number, number, number]
    if (toMs <= fromMs) throw new WritError('usage', 'to is not after from')
    if (untilMs <= nowMs() || untilMs > nowMs() + maxLifeMs) {
      throw new WritError('usage', 'a grant ends in the future, within 400 days', { cure: 'choose another --expires' })
    }
    const grant = { name, scope: await scopeOf(scope), fromMs, toMs, untilMs, ...(id !== undefined && { id }) }
    // Kept before it is good for anything.
    await keep('audit_granted', JSON.stringify(shown(grant)))
    const token = await grants.add(grant)
    return c.json({ ...shown(grant), ...(token !== undefined && { token }) })
  })

  app.delete('/v1/grants/:name', async (c) => {
    const name = c.req.param('name')
    if (!(await grants.revoke(name))) {
      throw new WritError('not_found', `there is no grant ${name}`, { cure: '`writ report grants` lists them' })
    }
    await keep('audit_grant_revoked', name)
    return c.json({ name })
  })

  return app
}

const shown = ({ name, scope, fromMs, toMs, untilMs, id }: Grant) => ({
  ...{ name, scope: scope.name, from: iso(fromMs), to: iso(toMs), until: iso(untilMs) },
  ...(id !== undefined && { id }),
})
const iso = (ms: number): string => new Date(ms).toISOString()
