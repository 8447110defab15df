/** Whether a request that failed is sent once more, where, and after how long. State of one request; no timer stands here. */

import type { RequestHead } from '../../core/facts.ts'
import type { Attempt, Outcome, OutcomeCode, RetryStop } from '../../core/outcome.ts'
import type { Endpoint } from '../../core/snapshot.ts'
import type { RetryCause, RetryRules } from '../../core/traffic.ts'
import type { Budget } from '../balance/budget.ts'

/** Who counts what becomes of attempts is told by this. */
export type Ended = (outcome: Pick<Outcome, 'code' | 'status' | 'durationUs'>) => void

/** Why nobody is asked. */
export type Withheld = Extract<OutcomeCode, 'circuit_open' | 'upstream_overflow'>

/** What a route brings along for requests that may be tried again. */
export interface RetryPlan {
  readonly rules: RetryRules
  readonly budget: Budget
  /** An endpoint that was not tried, where there is one; undefined where the service is not to be asked. */
  readonly elsewhere: (
    tried: readonly Endpoint[],
  ) => { readonly endpoint: Endpoint; readonly ended?: Ended } | undefined
  /** A number from 0 up to 1. */
  readonly fraction: () => number
}

type Failed = Omit<Attempt, 'upstream'>

export interface Again {
  readonly endpoint: Endpoint
  readonly waitMs: number
}

export class Attempts {
  readonly #plan: RetryPlan
  readonly #method: string
  readonly #nowMs: () => number
  readonly #failed: Attempt[] = []
  readonly #tried: Endpoint[] = []
  #stopped: RetryStop | undefined
  #ended: Ended | undefined
  #sinceMs: number
  /** Where the last attempt went. */
  endpoint: Endpoint
  /** Its connection as `address:port`, empty until there is one. */
  upstream = ''
  /** Whether it was sent twice, since the first connection died. */
  sentTwice = false

  /** `ended`: of the first attempt. */
  constructor(
    plan: RetryPlan,
    { method }: Pick<RequestHead, 'method'>,
    endpoint: Endpoint,
    ended: Ended | undefined,
    nowMs: () => number,
  ) {
    this.#plan = plan
    this.#method = method
    this.endpoint = endpoint
    this.#ended = ended
    this.#nowMs = nowMs
    this.#sinceMs = nowMs()
    plan.budget.asked()
  }

  /** Most bytes of a body that are worth keeping. */
  get bodyBytes(): number {
    return this.#plan.rules.bodyBytes
  }

  /** An attempt failed, or its answer has come: where the next one goes, if anywhere. `kept`: all that was sent of the body. */
  after(failed: Failed, kept: boolean): Again | undefined {
    if (!isCause(this.#plan.rules, failed)) return undefined
    const stopped = this.#stop(kept)
    if (stopped !== undefined) return this.#stays(stopped)
    this.#tellEnded(failed) // First, so that a circuit that it opens lets no further one through.
    const next = this.#plan.elsewhere([...this.#tried, this.endpoint])
    if (!next) return this.#stays('retry_nowhere')
    this.#failed.push({ ...failed, upstream: this.upstream })
    this.#tried.push(this.endpoint)
    this.endpoint = next.endpoint
    this.#ended = next.ended
    this.upstream = ''
    this.sentTwice = false
    return { endpoint: next.endpoint, waitMs: waitMs(this.#plan, this.#failed.length) }
  }

  /** The next attempt begins, after its wait. */
  begun(): void {
    this.#sinceMs = this.#nowMs()
  }

  /** All is over: the outcome, with what was tried before. */
  over(outcome: Outcome): Outcome {
    this.#tellEnded(outcome)
    if (this.#failed.length === 0 && this.#stopped === undefined) return outcome
    return {
      ...outcome,
      ...(this.#failed.length > 0 && { attempts: this.#failed, endpoint: this.endpoint }),
      ...(this.#stopped !== undefined && { stopped: this.#stopped }),
    }
  }

  #stop(kept: boolean): RetryStop | undefined {
    const { rules, budget } = this.#plan
    const sent = this.upstream !== ''
    if (this.#failed.length >= rules.attempts) return 'retry_limit'
    if (sent && !rules.methods.includes(this.#method)) return 'retry_unsafe'
    if (!kept) return 'retry_body'
    return budget.take() ? undefined : 'retry_budget'
  }

  #stays(stopped: RetryStop): undefined {
    this.#stopped = stopped
  }

  #tellEnded({ code, status }: { readonly code: OutcomeCode; readonly status: number }): void {
    const durationUs = Math.round((this.#nowMs() - this.#sinceMs) * 1000)
    this.#ended?.({ code, status, durationUs })
    this.#ended = undefined
  }
}

function isCause(
  rules: RetryRules,
  { code, status, grpcStatus }: Pick<Attempt, 'code' | 'status' | 'grpcStatus'>,
): boolean {
  const { on } = rules
  if (code !== 'completed') {
    const cause = causes[code]
    return cause !== undefined && on.includes(cause)
  }
  if (grpcStatus !== undefined && rules.grpcStatuses.includes(grpcStatus)) return true
  if (rules.statuses.includes(status)) return true
  if (status >= 500 && status <= 599 && on.includes('5xx')) return true
  return status >= 502 && status <= 504 && on.includes('gateway-error')
}

const causes: Readonly<Partial<Record<OutcomeCode, RetryCause>>> = {
  upstream_unreachable: 'connect-failure',
  upstream_identity: 'connect-failure',
  upstream_reset: 'reset',
  upstream_invalid: 'reset',
  upstream_timeout: 'timeout',
}

/** Twice as long each time, and up to half of it more, so that those who failed together do not come back together. */
function waitMs({ rules: { backoffMs, maxBackoffMs }, fraction }: RetryPlan, failures: number): number {
  const least = Math.min(backoffMs * 2 ** (failures - 1), Math.max(backoffMs, maxBackoffMs))
  return least * (1 + fraction() / 2)
}
