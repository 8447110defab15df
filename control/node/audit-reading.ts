/** Everything that reads the audit through the store alone. Doors put audit-reads.ts before it. */

import { Hono } from 'hono'
import { readQuestion } from '../../audit/query/ask.ts'
import { findDecisions } from '../../audit/query/node/find.ts'
import type { Db } from '../../audit/store/schema.ts'
import { questionRoutes } from './audit-questions.ts'
import { streamRoutes } from './audit-streams.ts'
import type { DoorApp, DoorEnv } from './http.ts'

export interface ReadingDeps {
  readonly db: Db
  /** Who asks, as it is kept of saved questions: `uid 1000`. */
  readonly actor: string
  readonly nowMs: () => number
}

export function readingRoutes(deps: ReadingDeps): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  app.get('/v1/audit/query', async (c) =>
    c.json(await findDecisions(deps.db, readQuestion(pairsOf(c.req.url), deps.nowMs()))),
  )
  app.route('/', questionRoutes(deps))
  app.route('/', streamRoutes(deps))
  return app
}

export function pairsOf(url: string): readonly (readonly [string, string])[] {
  return [...new URL(url, 'http://admin').searchParams]
}
