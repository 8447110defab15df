/** How the compliance checks stand between reports, and which reports are made of themselves. */

import { Hono } from 'hono'
import type { CheckStatus } from '../../audit/query/node/checks.ts'
import type { DoorApp, DoorEnv } from './http.ts'

export interface CheckParts {
  status(): Promise<{ readonly checks: readonly CheckStatus[] }>
  schedule(): Promise<object>
}

export function checkRoutes({ status, schedule }: CheckParts): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  app.get('/v1/audit/checks', async (c) => c.json(await status()))
  app.get('/v1/audit/schedule', async (c) => c.json(await schedule()))
  return app
}
