/** TrafficPolicy: how requests of a service are spread among its endpoints, and how many are taken. Shapes; what they come to is traffic-targets.ts. */

import { z } from 'zod'
import {
  type Balance,
  breakerDefaults,
  type KeyPlace,
  outlierDefaults,
  type RateLimit,
  type ServiceTraffic,
} from '../../core/traffic.ts'
import { type RetrySpec, retryOf, retrySpec, type TimeoutsSpec, timeoutsSpec, timesOf } from './retry.ts'
import { type SourcesSpec, sourcesSpec } from './sources.ts'
import { type TargetRef, targetRefs } from './target-refs.ts'
import { type RouteCanarySpec, routeCanarySpec } from './versions.ts'
import { duration, durationMs } from './words.ts'

type KeySpec = { readonly header: string } | { readonly cookie: string } | { readonly caller: true }

type AlgorithmName = 'PeakEwma' | 'LeastRequest' | 'RoundRobin' | 'Random' | 'RingHash' | 'Maglev'

export interface LimitSpec {
  readonly requests: number
  readonly per?: string
  readonly burst?: number
  readonly by?: KeySpec
}

export interface TrafficPolicySpec {
  readonly targetRefs: readonly TargetRef[]
  readonly loadBalancer?: {
    readonly type?: AlgorithmName
    readonly hashOn?: KeySpec
    readonly locality?: 'Failover' | 'Any'
    readonly warmUp?: { readonly duration: string; readonly fromPercent?: number }
  }
  readonly outlierEjection?: {
    readonly consecutiveFailures?: number
    readonly baseTime?: string
    readonly maxTime?: string
    readonly maxPercent?: number
  }
  readonly circuitBreaker?: {
    readonly failureThreshold?: number
    readonly openFor?: string
    readonly successThreshold?: number
    readonly minimumRequests?: number
  }
  readonly connections?: {
    readonly maxConnections?: number
    readonly maxPending?: number
    readonly maxRequests?: number
  }
  readonly retry?: RetrySpec
  readonly timeouts?: TimeoutsSpec
  readonly limits?: readonly LimitSpec[]
  readonly sticky?: StickySpec
  readonly canary?: RouteCanarySpec
  readonly sources?: SourcesSpec
  readonly accepts?: AcceptsSpec
}

export interface AcceptsSpec {
  readonly methods?: readonly string[]
  readonly maxBodyBytes?: number
}

/** What keeps requests at one of several backends. */
type StickySpec = Exclude<KeySpec, { readonly caller: true }>

const headerName = z
  .string()
  .regex(/^(?!__proto__$)[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/, { error: 'is not a header name' })

const byHeader = z.strictObject({ header: headerName })
const byCookie = z.strictObject({
  cookie: z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/, { error: 'is not a cookie name' }),
})

const sticky: z.ZodType<StickySpec> = z.union([byHeader, byCookie], {
  error: 'is neither {header: name} nor {cookie: name}',
})

const key: z.ZodType<KeySpec> = z.union([byHeader, byCookie, z.strictObject({ caller: z.literal(true) })], {
  error: 'is none of {header: name}, {cookie: name} and {caller: true}',
})

const some = z.int().min(1).max(1_000_000)

const limit: z.ZodType<LimitSpec> = z.strictObject({
  requests: some.describe('How many requests are taken in that time.'),
  per: duration.describe('Default 1s.').exactOptional(),
  burst: some.describe('How many are taken at once. Default as many as requests.').exactOptional(),
  by: key.describe('Each of its values has as many. Default all requests together.').exactOptional(),
})

export const trafficPolicySpec: z.ZodType<TrafficPolicySpec> = z
  .strictObject({
    targetRefs: targetRefs(
      'Limits and sources hold at inbound listeners and gateways; sticky and canary are of an HTTPRoute alone, everything else of a Service.',
    ),
    loadBalancer: z
      .strictObject({
        type: z.enum(['PeakEwma', 'LeastRequest', 'RoundRobin', 'Random', 'RingHash', 'Maglev']).exactOptional(),
        hashOn: key.describe('What RingHash and Maglev tell requests by.').exactOptional(),
        locality: z
          .enum(['Failover', 'Any'])
          .describe(
            'Failover: endpoints of the caller’s zone first, then of its region, as far as the nearer ones are ejected. Any: near and far alike. Default Failover, where it is said who is where.',
          )
          .exactOptional(),
        warmUp: z
          .strictObject({
            duration: duration.describe('Time until an endpoint that is new, or comes back, has its whole share.'),
            fromPercent: z.number().min(1).max(100).describe('Share that it begins with. Default 10.').exactOptional(),
          })
          .describe('Default it has its whole share at once.')
          .exactOptional(),
      })
      .describe('Default PeakEwma.')
      .exactOptional(),
    outlierEjection: z
      .strictObject({
        consecutiveFailures: some.describe('Failures in a row that eject an endpoint. Default 5.').exactOptional(),
        baseTime: duration
          .describe('Time of the first ejection; the n-th takes n times as long. Default 30s.')
          .exactOptional(),
        maxTime: duration.describe('Longest time. Default 5m.').exactOptional(),
        maxPercent: z
          .int()
          .min(0)
          .max(100)
          .describe('Most endpoints ejected at once. Default 50; 0 ejects nobody.')
          .exactOptional(),
      })
      .exactOptional(),
    circuitBreaker: z
      .strictObject({
        failureThreshold: some.describe('Failures in a row that open it. Default 5.').exactOptional(),
        openFor: duration.describe('Time until it is tried again. Default 10s.').exactOptional(),
        successThreshold: some
          .describe('Trials that close it again, all of which must succeed. Default 1.')
          .exactOptional(),
        minimumRequests: some.describe('Answers below which it does not open. Default 10.').exactOptional(),
      })
      .describe('Default none.')
      .exactOptional(),
    connections: z
      .strictObject({
        maxConnections: some
          .max(10_000)
          .describe('Connections to one endpoint for one workload; further requests wait. Default 256.')
          .exactOptional(),
        maxPending: z
          .int()
          .min(0)
          .max(1_000_000)
          .describe('Requests that wait for one; further ones get 503. Default 1024.')
          .exactOptional(),
        maxRequests: some
          .describe('Requests in flight to the Service; further ones get 503. Default any number.')
          .exactOptional(),
      })
      .describe('What one proxy process asks of the Service at a time.')
      .exactOptional(),
    retry: retrySpec.exactOptional(),
    timeouts: timeoutsSpec.exactOptional(),
    sticky: sticky
      .describe(
        'Of an HTTPRoute: requests of one value go to one of the weighted backends. Default chance decides about each.',
      )
      .exactOptional(),
    canary: routeCanarySpec.exactOptional(),
    sources: sourcesSpec.exactOptional(),
    accepts: z
      .strictObject({
        methods: z
          .array(z.string().regex(/^[A-Z-]{1,32}$/, { error: 'is no method in upper case' }))
          .min(1)
          .max(16)
          .describe('Others are refused with 405. Default all.')
          .exactOptional(),
        maxBodyBytes: z
          .int()
          .min(0)
          .max(2 ** 50)
          .describe('Longer bodies are refused, or cut off, with 413. Default any length.')
          .exactOptional(),
      })
      .refine((one) => one.methods !== undefined || one.maxBodyBytes !== undefined, { error: 'says nothing' })
      .describe('Requests that the listeners of the target take, beside what policies say.')
      .exactOptional(),
    limits: z.array(limit).min(1).max(16).describe('Default none. Each that is given must have room.').exactOptional(),
  })
  .describe('How requests are spread among endpoints, and how many are taken.')

const algorithms: Readonly<Record<AlgorithmName, Balance['type']>> = {
  PeakEwma: 'peak-ewma',
  LeastRequest: 'least-request',
  RoundRobin: 'round-robin',
  Random: 'random',
  RingHash: 'ring-hash',
  Maglev: 'maglev',
}

export const hashes = (type: AlgorithmName | undefined): boolean => type === 'RingHash' || type === 'Maglev'

/** Undefined where a policy says nothing of this. Its shape is right, and a way that hashes has a key. */
export function serviceTrafficOf(spec: TrafficPolicySpec): ServiceTraffic | undefined {
  const { loadBalancer: lb, outlierEjection: out, circuitBreaker: cut, connections, retry, timeouts } = spec
  if (!lb && !out && !cut && !connections && !retry && !timeouts) return undefined
  return {
    ...(lb?.type && {
      balance: { type: algorithms[lb.type], ...(lb.hashOn && { hashOn: placeOf(lb.hashOn) }) } as Balance,
    }),
    ...(lb?.locality && { locality: lb.locality === 'Any' ? ('any' as const) : ('failover' as const) }),
    ...(lb?.warmUp && {
      warmUp: { ms: durationMs(lb.warmUp.duration), from: (lb.warmUp.fromPercent ?? 10) / 100 },
    }),
    ...(out && {
      outlier: {
        consecutive: out.consecutiveFailures ?? outlierDefaults.consecutive,
        baseMs: msOf(out.baseTime, outlierDefaults.baseMs),
        maxMs: msOf(out.maxTime, outlierDefaults.maxMs),
        maxShare: out.maxPercent === undefined ? outlierDefaults.maxShare : out.maxPercent / 100,
      },
    }),
    ...(cut && {
      breaker: {
        failureThreshold: cut.failureThreshold ?? breakerDefaults.failureThreshold,
        openForMs: msOf(cut.openFor, breakerDefaults.openForMs),
        successThreshold: cut.successThreshold ?? breakerDefaults.successThreshold,
        minimumRequests: cut.minimumRequests ?? breakerDefaults.minimumRequests,
      },
    }),
    ...(connections && { connections: connectionsOf(connections) }),
    ...(retry && { retry: retryOf(retry) }),
    ...(timeouts && timesOf(timeouts)),
  }
}

export const rateLimitOf = ({ requests, per, burst, by }: LimitSpec): RateLimit => ({
  perSecond: (requests * 1000) / Math.max(1, msOf(per, 1000)),
  burst: burst ?? requests,
  ...(by && { by: placeOf(by) }),
})

const msOf = (text: string | undefined, otherwise: number): number =>
  text === undefined ? otherwise : durationMs(text)

export function placeOf(key: KeySpec): KeyPlace {
  if ('header' in key) return { kind: 'header', name: key.header.toLowerCase() }
  return 'cookie' in key ? { kind: 'cookie', name: key.cookie } : { kind: 'caller' }
}

const connectionsOf = ({
  maxConnections,
  maxPending,
  maxRequests,
}: NonNullable<TrafficPolicySpec['connections']>): NonNullable<ServiceTraffic['connections']> => ({
  ...(maxConnections !== undefined && { upstreams: maxConnections }),
  ...(maxPending !== undefined && { pending: maxPending }),
  ...(maxRequests !== undefined && { requests: maxRequests }),
})
