/** What a snapshot says of routes, as it comes over the wire. */

import { z } from 'zod'
import type { Route, RouteMatch } from '../../core/snapshot.ts'
import { backendFilters, filters } from './filters-wire.ts'
import { isRe2 } from './route-match.ts'
import { keyPlace, routeCanary } from './traffic-wire.ts'

const text = z.string().max(4096)
const count = z.int().min(0)

/** One that does not compile would stop the proxy when it takes the snapshot into force. */
const pattern = text.refine(isRe2, { error: 'no regular expression of RE2' })

export const match: z.ZodType<RouteMatch> = z.strictObject({
  path: z.union([
    z.strictObject({ type: z.enum(['exact', 'prefix']), value: text }),
    z.strictObject({ type: z.literal('regex'), value: pattern }),
  ]),
  method: text.exactOptional(),
  headers: z.record(text, text).exactOptional(),
  headerPatterns: z.record(text, pattern).exactOptional(),
  query: z.record(text, text).exactOptional(),
  queryPatterns: z.record(text, pattern).exactOptional(),
})

export const backends: z.ZodType<Route['backends']> = z.array(
  z.strictObject({ service: text, weight: count, filters: backendFilters.exactOptional() }),
)

export const route: z.ZodType<Route> = z.strictObject({
  name: text,
  hosts: z.array(text),
  match,
  backends,
  sticky: keyPlace.exactOptional(),
  session: z
    .strictObject({
      kind: z.enum(['cookie', 'header']),
      name: z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/, { error: 'no name of a cookie or header' }),
      maxAgeS: z.int().min(1).exactOptional(),
    })
    .exactOptional(),
  canary: routeCanary.exactOptional(),
  filters: filters.exactOptional(),
  timeoutMs: count,
  tryMs: z.int().min(1).exactOptional(),
  retry: z
    .strictObject({
      attempts: count.max(10).exactOptional(),
      statuses: z.array(count).exactOptional(),
      backoffMs: count.exactOptional(),
      maxBackoffMs: count.exactOptional(),
    })
    .exactOptional(),
})
