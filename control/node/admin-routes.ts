/** What the admin door answers. Whoever reaches it is the operator: the socket's mode is the credential. */

import type { MiddlewareHandler } from 'hono'
import { z } from 'zod'
import { WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import type { Health } from '../health.ts'
import type { PartOf } from '../parts.ts'
import type { CollectorRight } from './collector-tokens.ts'
import { type DoorApp, type DoorEnv, doorApp, readJson, type Unexpected } from './http.ts'

type Later<T> = T | Promise<T>

export interface AdminParts {
  readonly snapshot: () => MeshSnapshot
  readonly partOf: PartOf
  readonly health: Health
  /** Canaries that were taken back. */
  readonly rolledBack?: () => readonly object[]
  /** Backends on trial whose weight went back. */
  readonly returned?: () => readonly object[]
  /** Alarms that are raised now. */
  readonly alarms?: () => readonly object[]
  /** State of this process's own spool. */
  readonly spool: () => object
  /** A join token for this id, good for one join within `ttlMs`. */
  readonly createToken: (id: SpiffeId, ttlMs: number) => Later<string>
  readonly createCollectorToken: (id: SpiffeId, ttlMs: number, right: CollectorRight) => Later<string>
  /** Refuses an id or a certificate's serial from now on, everywhere. */
  readonly deny: (idOrSerial: string) => Later<void>
  readonly sink: RecordSink
  /** Who acts, as records name them: `uid 1000`. */
  readonly actor: string
  /** Further routes, such as those of the audit. */
  readonly mounted: readonly Pick<DoorApp, 'fetch' | 'routes'>[]
  /** Stands before readings of the audit. Default nobody asks. */
  readonly reads?: MiddlewareHandler<DoorEnv>
  readonly unexpected: Unexpected
}

const maxBodyBytes = 16 * 1024
const minute = 60_000
const day = 24 * 60 * minute

const who = z.string().min(1).max(2048)
const tokenBody = z.strictObject({
  workload: who,
  ttl_ms: z
    .int()
    .min(1000)
    .max(7 * day)
    .exactOptional(),
})
const collectorBody = z.strictObject({
  workload: who,
  ttl_ms: z
    .int()
    .min(minute)
    .max(400 * day)
    .exactOptional(),
  right: z.enum(['records', 'logs']).exactOptional(),
})
const reason = z.string().min(1).max(1024)
const deniedBody = z.union([
  z.strictObject({ id: who, reason }),
  z.strictObject({ serial: z.string().regex(/^[0-9a-f]{1,64}$/, 'lower-case hex'), reason }),
])

export function adminRoutes(parts: AdminParts): DoorApp {
  const app = doorApp(parts.unexpected)
  if (parts.reads) app.use(parts.reads)
  /** Kept before it is done: an act whose record cannot be kept does not happen. */
  const keep = async (action: string, detail: string): Promise<void> => {
    await parts.sink.keep({ kind: 'admin', action, actor: parts.actor, detail })
  }

  app.post('/v1/tokens', async (c) => {
    const { workload, ttl_ms = 10 * minute } = await readJson(c.req.raw, maxBodyBytes, tokenBody)
    const id = idOf(workload, parts.snapshot())
    await keep('token_created', `${id} for ${ttl_ms} ms`)
    return c.json({ workload: id, token: await parts.createToken(id, ttl_ms), ttl_ms })
  })

  app.post('/v1/collector-tokens', async (c) => {
    const { workload, ttl_ms = 90 * day, right = 'records' } = await readJson(c.req.raw, maxBodyBytes, collectorBody)
    const id = idOf(workload, parts.snapshot())
    await keep('collector_token_created', `${id} for ${ttl_ms} ms${right === 'logs' ? ', for decision logs' : ''}`)
    return c.json({ workload: id, token: await parts.createCollectorToken(id, ttl_ms, right), ttl_ms })
  })

  app.post('/v1/denied', async (c) => {
    const body = await readJson(c.req.raw, maxBodyBytes, deniedBody)
    const subject = 'id' in body ? idOf(body.id, parts.snapshot()) : body.serial
    await keep('denied', `${subject}: ${body.reason}`)
    await parts.deny(subject)
    return c.json({ denied: subject })
  })

  app.get('/v1/status', (c) => {
    const mesh = parts.snapshot()
    const workloads = parts.health.list(mesh, (id) => parts.partOf(id)?.name)
    const { trustDomain, cluster, name } = mesh
    const rolled_back = parts.rolledBack?.() ?? []
    const returned = parts.returned?.() ?? []
    const of = { trust_domain: trustDomain, cluster, snapshot: name, workloads }
    return c.json({ ...of, rolled_back, returned, alarms: parts.alarms?.() ?? [], spool: parts.spool() })
  })

  app.get('/v1/snapshot', (c) => c.json(parts.snapshot()))

  for (const mounted of parts.mounted) app.route('/', mounted as DoorApp)
  return app
}

/** A Workload by its name, or any id of our own trust domain. */
function idOf(text: string, mesh: MeshSnapshot): SpiffeId {
  const named = mesh.workloads.find(({ name }) => name === text)
  if (named) return named.id
  const id = parseSpiffeId(text)
  if (id && trustDomainOf(id) === mesh.trustDomain) return id
  throw new WritError('not_found', `there is no workload ${text} in ${mesh.trustDomain}`, {
    cure: `one of ${mesh.workloads
      .slice(0, 16)
      .map(({ name }) => name)
      .join(', ')}, or a SPIFFE id of the trust domain`,
  })
}
