/** What the admin door tells of policy data. */

import { Hono } from 'hono'
import type { DataStatus } from '../../engine/node/poll-data.ts'
import type { DoorApp, DoorEnv } from './http.ts'

export interface PolicyDataStatus extends DataStatus {
  readonly bundle: string
  readonly path: string
  readonly max_age_s?: number
  /** Older than that, or of no age at all. */
  readonly stale: boolean
}

export function policyDataRoutes(status: () => readonly PolicyDataStatus[]): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  app.get('/v1/policy-data', (c) => c.json({ data: status() }))
  return app
}
