/** Gathers how requests ended, so that one record carries many of them. */

import type { Attempt, Outcome } from '../../core/outcome.ts'
import type { OutcomeItem, OutcomesBody } from '../../core/record.ts'

/** Most outcomes in one record: 256 of the longest stay below the 65 535 bytes of a leaf. */
export const outcomesPerRecord = 256

/** Longest time an outcome waits for company, in milliseconds. */
export const outcomesWaitMs = 200

/** What waits for the next record; mutable because every request adds to it. */
export interface Outcomes {
  items: OutcomeItem[]
  /** What attempts add to them, in bytes. */
  extra: number
  /** When the oldest of them came, in milliseconds. */
  sinceMs: number
}

export const newOutcomes = (): Outcomes => ({ items: [], extra: 0, sinceMs: 0 })

/** False where there is no room: the caller takes what waits as soon as it is due, and then there always is. */
export function addOutcome(outcomes: Outcomes, seq: number, outcome: Outcome, nowMs: number): boolean {
  if (outcomes.items.length >= outcomesPerRecord) return false
  if (outcomes.items.length === 0) outcomes.sinceMs = nowMs
  outcomes.items.push({
    seq,
    code: outcome.code,
    status: count(outcome.status),
    request_bytes: count(outcome.requestBytes),
    response_bytes: count(outcome.responseBytes),
    duration_us: count(outcome.durationUs),
    upstream: bounded(outcome.upstream),
    ...attemptsOf(outcome, outcomes),
    ...delayOf(outcome, outcomes),
  })
  return true
}

/** Most attempts of one request that are told; rules allow no more. */
const mostAttempts = 10

function attemptsOf({ attempts, stopped }: Outcome, outcomes: Outcomes): Pick<OutcomeItem, 'attempts' | 'stopped'> {
  if (!attempts && stopped === undefined) return nothing
  const told = attempts?.slice(0, mostAttempts).map(attemptText)
  outcomes.extra += 64 + (told ?? []).reduce((sum, text) => sum + text.length + 3, 0)
  return { ...(told && { attempts: told }), ...(stopped !== undefined && { stopped }) }
}

const nothing = {}

function delayOf({ delayedMs }: Outcome, outcomes: Outcomes): Pick<OutcomeItem, 'delayed_ms'> {
  if (delayedMs === undefined) return nothing
  outcomes.extra += 32
  return { delayed_ms: count(delayedMs) }
}

/** A status where there was an answer, else what happened. */
const attemptText = ({ upstream, code, status, grpcStatus }: Attempt): string => {
  const answer = grpcStatus === undefined ? String(count(status)) : `grpc ${count(grpcStatus)}`
  return `${bounded(upstream)} ${code === 'completed' ? answer : code}`.trimStart()
}

/** Bytes of the longest outcome without attempts, and of how many a record is full. */
const longestItem = 243
const fullBytes = 60_000

export const outcomesDue = (outcomes: Outcomes, nowMs: number): boolean =>
  outcomes.items.length >= outcomesPerRecord ||
  (outcomes.extra > 0 && outcomes.items.length * longestItem + outcomes.extra >= fullBytes) ||
  (outcomes.items.length > 0 && nowMs - outcomes.sinceMs >= outcomesWaitMs)

/** The record of all that waits, or undefined where nothing does. */
export function takeOutcomes(outcomes: Outcomes): OutcomesBody | undefined {
  if (outcomes.items.length === 0) return undefined
  const items = outcomes.items
  outcomes.items = []
  outcomes.extra = 0
  return { kind: 'outcomes', outcomes: items }
}

/** An address as it stands, which it nearly always may. */
const bounded = (upstream: string): string =>
  plain.test(upstream) ? upstream : upstream.slice(0, 56).replace(escaped, '?')

const plain = /^[!#-[\]-~]{0,56}$/

/** What is no printable ASCII or would be escaped: an address has none of it, and the record's size stays bounded. */
const escaped = /[^!#-[\]-~]/g

/** An outcome never fails: what is no count is recorded as 0. */
const count = (value: number): number => (value > 0 && value <= Number.MAX_SAFE_INTEGER ? Math.trunc(value) : 0)
