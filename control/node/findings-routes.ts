/** What the log tells by itself, for the operator: which findings there are, and that a person looked at one. */

import { Hono } from 'hono'
import { z } from 'zod'
import { findingsIn, maxFindings } from '../../audit/query/node/findings.ts'
import type { Db } from '../../audit/store/schema.ts'
import { WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import { parseDecisionId } from '../../core/record.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'

export interface FindingsParts {
  /** The store's tables. Default: this process has none, and then findings are acknowledged unseen. */
  readonly db?: Db
  readonly sink: () => Pick<RecordSink, 'keep'>
  /** Who acts, as records name them. */
  readonly actor: string
}

const acknowledgement = z.strictObject({ by: z.string().min(1).max(128), note: z.string().min(1).max(1024) })

export function findingsRoutes({ db, sink, actor }: FindingsParts): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()

  if (db) {
    app.get('/v1/audit/findings', async (c) => {
      const limit = Number(c.req.query('limit') ?? 100)
      if (!Number.isInteger(limit) || limit < 1 || limit > maxFindings) {
        throw new WritError('usage', `limit takes a number from 1 to ${maxFindings}`)
      }
      return c.json(
        await findingsIn(db, { open: c.req.query('open') === 'true', all: c.req.query('all') === 'true', limit }),
      )
    })
  }

  app.post('/v1/audit/findings/:id/acknowledge', async (c) => {
    const id = c.req.param('id')
    const { by, note } = await readJson(c.req.raw, 16 * 1024, acknowledgement)
    const known = parseDecisionId(id) && (!db || (await findingsIn(db, { id })).findings.length > 0)
    if (!known) {
      throw new WritError('not_found', `there is no finding ${id}`, { cure: '`writ audit findings` prints their ids' })
    }
    await sink().keep({ kind: 'acknowledgement', of: id, by, actor, note })
    return c.json({ of: id, by, note })
  })

  return app
}
