/** Everything that reads the audit through the store alone: all of it passes one gate. */

import { Hono } from 'hono'
import { readQuestion } from '../../audit/query/ask.ts'
import { findDecisions } from '../../audit/query/node/find.ts'
import type { Db } from '../../audit/store/schema.ts'
import { questionRoutes } from './audit-questions.ts'
import { streamRoutes } from './audit-streams.ts'
import type { DoorApp, DoorEnv } from './http.ts'

/** One reading of the audit, as whoever allows and records readings sees it. */
export interface Reading {
  readonly method: string
  /** `/v1/audit/query`, and what it was asked for. */
  readonly path: string
  readonly asked: readonly (readonly [string, string])[]
}

/** Is passed before anything is read. Throws `forbidden` where the reading may not be. */
export type OnReading = (reading: Reading) => Promise<void>

export interface ReadingDeps {
  readonly db: Db
  /** Who asks, as it is kept of saved questions: `uid 1000`. */
  readonly actor: string
  readonly nowMs: () => number
}

/** Mounted before the routes that it is for. */
export function readingGate(onReading: OnReading | undefined): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  if (!onReading) return app
  for (const path of ['/v1/audit/*', '/v1/report']) {
    app.use(path, async (c, next) => {
      await onReading({ method: c.req.method, path: c.req.path, asked: pairsOf(c.req.url) })
      return next()
    })
  }
  return app
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
