/** What a snapshot says of traffic, as it comes over the wire. */

import { z } from 'zod'
import { parseRange } from '../../core/address.ts'
import type { Accepts, ListenerLimits, RouteMatch } from '../../core/snapshot.ts'
import type { KeyPlace, RouteCanary, ServiceTraffic, SourceLimits } from '../../core/traffic.ts'

const text = z.string().max(4096)
const some = z.int().min(1)
const count = z.int().min(0)

export const keyPlace: z.ZodType<KeyPlace> = z.discriminatedUnion('kind', [
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
  retry: z
    .strictObject({
      attempts: count.max(10),
      on: z.array(z.enum(['connect-failure', 'reset', 'timeout', '5xx', 'gateway-error'])),
      statuses: z.array(count),
      grpcStatuses: z.array(count),
      backoffMs: count,
      maxBackoffMs: count,
      methods: z.array(text),
      bodyBytes: count,
      budget: z.strictObject({ share: z.number().min(0).max(1), perSecond: z.number().min(0) }),
    })
    .exactOptional(),
  locality: z.enum(['failover', 'any']).exactOptional(),
  warmUp: z.strictObject({ ms: some, from: z.number().min(0).max(1) }).exactOptional(),
  connections: z
    .strictObject({ upstreams: some.exactOptional(), pending: count.exactOptional(), requests: some.exactOptional() })
    .exactOptional(),
  times: z
    .strictObject({ tryMs: some.exactOptional(), connectMs: some.exactOptional(), idleMs: some.exactOptional() })
    .exactOptional(),
  timeoutMs: count.exactOptional(),
})

const range = text.refine((it) => parseRange(it) !== undefined, { error: 'no range of addresses' })
const ofPrefix = (most: number) => z.int().min(1).max(most)

export const sourceLimits: z.ZodType<SourceLimits> = z.strictObject({
  allow: z.array(range).exactOptional(),
  deny: z.array(range).exactOptional(),
  prefix: z.strictObject({ ipv4: ofPrefix(32), ipv6: ofPrefix(128) }),
  connections: some.exactOptional(),
  handshakes: some.exactOptional(),
  rate: z.strictObject({ perSecond: z.number().positive(), burst: some }).exactOptional(),
})

const share = { maxRise: z.number().min(0).max(100), max: z.number().min(0).max(100).exactOptional() }

export const routeCanary: z.ZodType<RouteCanary> = z.strictObject({
  backend: text,
  version: text.exactOptional(),
  revision: text,
  errors: z.strictObject(share),
  slow: z.strictObject({ ...share, aboveMs: some }).exactOptional(),
  minRequests: some,
  windowMs: some,
})

const limits = z.array(z.strictObject({ perSecond: z.number().positive(), burst: some, by: keyPlace.exactOptional() }))

const accepts: z.ZodType<Accepts> = z.strictObject({
  methods: z.array(z.string().regex(/^[A-Z-]{1,32}$/, { error: 'no method in upper case' })).exactOptional(),
  bodyBytes: count.exactOptional(),
})

export const listenerLimits = (match: z.ZodType<RouteMatch>): z.ZodType<ListenerLimits> =>
  z.strictObject({
    all: limits,
    accepts: accepts.exactOptional(),
    routes: z.array(z.strictObject({ route: text, match, limits, accepts: accepts.exactOptional() })).exactOptional(),
  })
