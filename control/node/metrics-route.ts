/** The numbers of a process at its operator's door. */

import { Hono } from 'hono'
import type { DoorApp, DoorEnv } from './http.ts'

/** GET /metrics, in Prometheus' text format. */
export function metricsRoute(text: () => string): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  app.get('/metrics', (c) => c.body(text(), 200, { 'content-type': 'text/plain; version=0.0.4' }))
  return app
}
