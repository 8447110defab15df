/** What the admin door tells of policy sources, and the way back to a revision that was in force before. */

import { Hono } from 'hono'
import { z } from 'zod'
import { WritError } from '../../core/fault.ts'
import type { PolicyRef } from '../../core/policy.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { SourceStatus } from '../../engine/node/poll.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'

export interface PolicySourceParts {
  readonly status: () => readonly SourceStatus[]
  /** Throws `not_found` where there is no such source or revision. */
  readonly rollback: (bundle: string, revision: string) => Promise<PolicyRef>
  /** Undefined while the control plane is not up yet. */
  readonly sink: () => RecordSink | undefined
  /** Who acts, as records name them. */
  readonly actor: string
}

const rollbackBody = z.strictObject({ revision: z.string().min(1).max(256) })

export function policySourceRoutes(parts: PolicySourceParts): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()

  app.get('/v1/policy-sources', (c) => c.json({ sources: parts.status() }))

  app.post('/v1/policy-sources/:bundle/rollback', async (c) => {
    const { revision } = await readJson(c.req.raw, 4096, rollbackBody)
    const bundle = c.req.param('bundle')
    const known = parts.status().find((source) => source.bundle === bundle)
    if (!known) throw new WritError('not_found', `no PolicySource is named ${bundle}`)
    const sink = parts.sink()
    if (!sink) throw new WritError('unavailable', 'the control plane is not up yet', { cure: 'try again' })
    // Kept before it is done, as every act is.
    await sink.keep({
      kind: 'admin',
      action: 'policy_rolled_back',
      actor: parts.actor,
      detail: `${bundle} to ${revision} from ${known.revision ?? 'none'}`,
    })
    return c.json({ ...(await parts.rollback(bundle, revision)) })
  })

  return app
}
