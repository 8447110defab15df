/** What a snapshot says of traffic, as it comes over the wire. */

import { z } from 'zod'
import type { ListenerLimits, RouteMatch } from '../../core/snapshot.ts'
import type { ServiceTraffic } from '../../core/traffic.ts'

const text = z.string().max(4096)
const some = z.int().min(1)

const keyPlace = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('header'), name: text }),
  z.strictObject({ kind: z.literal('cookie'), name: text }),
  z.strictObject({ kind: z.literal('caller') }),
])

export const serviceTraffic: z.ZodType<ServiceTraffic> = z.strictObject({
  balance: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.enum(['peak-ewma', 'least-request', 'round-robin', 'random']) }),
      z.strictObject({ type: z.enum(['ring-hash', 'maglev']), hashOn: keyPlace }),
    ])
    .exactOptional(),
  outlier: z
    .strictObject({ consecutive: some, baseMs: some, maxMs: some, maxShare: z.number().min(0).max(1) })
    .exactOptional(),
  breaker: z
    .strictObject({ failureThreshold: some, openForMs: some, successThreshold: some, minimumRequests: some })
    .exactOptional(),
})

const limits = z.array(z.strictObject({ perSecond: z.number().positive(), burst: some, by: keyPlace.exactOptional() }))

export const listenerLimits = (match: z.ZodType<RouteMatch>): z.ZodType<ListenerLimits> =>
  z.strictObject({
    all: limits,
    routes: z.array(z.strictObject({ route: text, match, limits })).exactOptional(),
  })
