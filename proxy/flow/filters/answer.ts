/** Routes that answer by themselves: redirects, direct answers, preflights, and faults that are injected for a test. */

import type { RequestHead } from '../../../core/facts.ts'
import type { FaultInjection, RouteFilters } from '../../../core/filters.ts'
import { fieldOf, type Refusal } from '../../exchange.ts'
import { grpcRefusal, isGrpc } from '../grpc.ts'
import { type ProblemIds, problem, titles } from '../problem.ts'
import { preflightAnswer } from './cors.ts'
import { locationOf } from './target.ts'

/** What is injected into one request, as chance has it. */
export interface Injected {
  /** In milliseconds. */
  readonly delayMs?: number
  readonly abort?: NonNullable<FaultInjection['abort']>
}

/** Undefined where nothing is. `fraction`: a number from 0 up to 1. */
export function injectedInto(
  head: RequestHead,
  { header, delay, abort }: FaultInjection,
  fraction: () => number,
): Injected | undefined {
  if (header) {
    const value = fieldOf(head, header.name)
    if (value === undefined || (header.value !== undefined && header.value !== value)) return undefined
  }
  const delays = delay !== undefined && fraction() < delay.share
  const aborts = abort !== undefined && fraction() < abort.share
  if (!delays && !aborts) return undefined
  return { ...(delays && { delayMs: delay.ms }), ...(aborts && { abort }) }
}

/** What the caller reads in place of the service's answer; undefined where the request goes on. `prefix`: that matched. */
export function routeAnswer(
  head: RequestHead,
  prefix: string,
  { cors, redirect, answer }: RouteFilters,
  ids: ProblemIds,
): Refusal | undefined {
  const preflight = cors && preflightAnswer(head, cors)
  if (preflight) return withIds(preflight, ids)
  if (redirect) {
    const location = locationOf(head, prefix, redirect)
    return withIds({ status: redirect.status, headers: { location }, body: '' }, ids)
  }
  return answer && withIds({ headers: {}, ...answer }, ids)
}

/** The answer of an injected fault, in the words of the protocol that the caller speaks. */
export function abortAnswer(
  head: RequestHead,
  { status, grpcStatus }: NonNullable<Injected['abort']>,
  ids: ProblemIds,
): Refusal {
  const refusal = problem(status, 'fault_injected', ids)
  return isGrpc(head) ? grpcRefusal(refusal, 'fault_injected', titles.fault_injected, grpcStatus) : refusal
}

const withIds = (refusal: Refusal, { requestId, decisionId }: ProblemIds): Refusal => ({
  ...refusal,
  headers: {
    ...refusal.headers,
    'x-request-id': requestId,
    ...(decisionId !== undefined && { 'x-writ-decision': decisionId }),
  },
})
