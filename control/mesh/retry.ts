/** Retries and times as mesh files write them: of a Service in a TrafficPolicy, of a rule in an HTTPRoute. */

import { z } from 'zod'
import { type RetryCause, type RetryRules, retryDefaults, type ServiceTraffic } from '../../core/traffic.ts'
import { duration, durationMs } from './words.ts'

export interface RetrySpec {
  readonly attempts?: number
  readonly on?: readonly RetryCause[]
  readonly codes?: readonly number[]
  readonly grpcCodes?: readonly GrpcCode[]
  readonly backoff?: string
  readonly maxBackoff?: string
  readonly methods?: readonly string[]
  readonly bodyBytes?: number
  readonly budget?: { readonly percent?: number; readonly perSecond?: number }
}

/** Of a rule of an HTTPRoute (Gateway API HTTPRouteRetry). */
export type RouteRetrySpec = Pick<RetrySpec, 'attempts' | 'codes' | 'backoff'>

export interface TimeoutsSpec {
  readonly request?: string
  readonly perTry?: string
  readonly connect?: string
  readonly idle?: string
}

/** In the order of their numbers. */
const grpcCodes = [
  'ok',
  'cancelled',
  'unknown',
  'invalid-argument',
  'deadline-exceeded',
  'not-found',
  'already-exists',
  'permission-denied',
  'resource-exhausted',
  'failed-precondition',
  'aborted',
  'out-of-range',
  'unimplemented',
  'internal',
  'unavailable',
  'data-loss',
  'unauthenticated',
] as const
type GrpcCode = (typeof grpcCodes)[number]

const attempts = z.int().min(0).max(10).describe('Further attempts at most. Default 2; 0 is none.').exactOptional()
const codes = z
  .array(z.int().min(400).max(599))
  .min(1)
  .max(64)
  .describe('Statuses that are not taken for an answer. Default none.')
  .exactOptional()
const backoff = duration
  .describe('Least wait before the first further attempt; twice as long before each next. Default 25ms.')
  .exactOptional()

export const routeRetrySpec: z.ZodType<RouteRetrySpec> = z
  .strictObject({ attempts, codes, backoff })
  .describe('In place of what the TrafficPolicy of the Service says of these. Default as that says.')

export const retrySpec: z.ZodType<RetrySpec> = z
  .strictObject({
    attempts,
    on: z
      .array(z.enum(['connect-failure', 'reset', 'timeout', '5xx', 'gateway-error']))
      .max(5)
      .describe('What is tried again. Default connect-failure, reset and timeout.')
      .exactOptional(),
    codes,
    grpcCodes: z
      .array(z.enum(grpcCodes))
      .min(1)
      .max(16)
      .describe('Statuses of gRPC that are not taken for an answer. Every call is a POST: methods must name it.')
      .exactOptional(),
    backoff,
    maxBackoff: duration.describe('Longest wait. Default ten times backoff.').exactOptional(),
    methods: z
      .array(z.string().regex(/^[A-Z][A-Z-]{0,31}$/, { error: 'is not a method in upper case' }))
      .min(1)
      .max(16)
      .describe(
        'Methods that may be repeated once something of a request was sent. Default GET, HEAD, OPTIONS, PUT and DELETE.',
      )
      .exactOptional(),
    bodyBytes: z
      .int()
      .min(0)
      .max(1_048_576)
      .describe('Body that is kept to be sent again, in bytes. Default 65536.')
      .exactOptional(),
    budget: z
      .strictObject({
        percent: z
          .number()
          .min(0)
          .max(100)
          .describe('Retries at most, as a share of the requests of the last ten seconds. Default 20.')
          .exactOptional(),
        perSecond: z
          .number()
          .min(0)
          .max(100_000)
          .describe('Retries a second that are allowed beside them. Default 10.')
          .exactOptional(),
      })
      .exactOptional(),
  })
  .describe('Default nothing is tried again.')

export const timeoutsSpec: z.ZodType<TimeoutsSpec> = z.strictObject({
  request: duration.describe('Time for the whole request; 0s is none. Default 15s.').exactOptional(),
  perTry: duration.describe('Time for one attempt, its whole answer included. Default none.').exactOptional(),
  connect: duration.describe('Time until there is a connection. Default 5s.').exactOptional(),
  idle: duration.describe('Time without a byte either way. Default 5m.').exactOptional(),
})

export const retryOf = (spec: RetrySpec): RetryRules => {
  const { budget } = retryDefaults
  return {
    attempts: spec.attempts ?? retryDefaults.attempts,
    on: spec.on ?? retryDefaults.on,
    statuses: spec.codes ?? [],
    grpcStatuses: (spec.grpcCodes ?? []).map((code) => grpcCodes.indexOf(code)),
    ...backoffOf(spec),
    methods: spec.methods ?? retryDefaults.methods,
    bodyBytes: spec.bodyBytes ?? retryDefaults.bodyBytes,
    budget: {
      share: spec.budget?.percent === undefined ? budget.share : spec.budget.percent / 100,
      perSecond: spec.budget?.perSecond ?? budget.perSecond,
    },
  }
}

function backoffOf({ backoff, maxBackoff }: RetrySpec): Pick<RetryRules, 'backoffMs' | 'maxBackoffMs'> {
  const backoffMs = backoff === undefined ? retryDefaults.backoffMs : durationMs(backoff)
  return { backoffMs, maxBackoffMs: maxBackoff === undefined ? 10 * backoffMs : durationMs(maxBackoff) }
}

/** What a rule says in place of its services' rules. */
export const routeRetryOf = ({
  attempts,
  codes,
  backoff,
}: RouteRetrySpec): Partial<Pick<RetryRules, 'attempts' | 'statuses' | 'backoffMs' | 'maxBackoffMs'>> => ({
  ...(attempts !== undefined && { attempts }),
  ...(codes && { statuses: codes }),
  ...(backoff !== undefined && backoffOf({ backoff })),
})

export function timesOf({ request, perTry, connect, idle }: TimeoutsSpec): Pick<ServiceTraffic, 'times' | 'timeoutMs'> {
  const times = {
    ...(perTry !== undefined && { tryMs: durationMs(perTry) }),
    ...(connect !== undefined && { connectMs: durationMs(connect) }),
    ...(idle !== undefined && { idleMs: durationMs(idle) }),
  }
  return {
    ...(Object.keys(times).length > 0 && { times }),
    ...(request !== undefined && { timeoutMs: durationMs(request) }),
  }
}
