/**
 * Peak EWMA, as in Finagle and Linkerd: what an endpoint's answers take. A slower answer counts at once and in full, a
 * faster one little by little, and what is long ago counts ever less, so that an endpoint that was slow is tried again.
 */

export interface Latency {
  /** In milliseconds, as of `atMs`. */
  readonly ms: number
  readonly atMs: number
}

/** Time in which what was measured comes to count for about a third, in milliseconds. */
const decayMs = 10_000

export function afterAnswer(latency: Latency, tookMs: number, nowMs: number): Latency {
  if (tookMs >= latencyAt(latency, nowMs)) return { ms: tookMs, atMs: nowMs }
  const kept = keptOf(latency, nowMs)
  return { ms: latency.ms * kept + tookMs * (1 - kept), atMs: nowMs }
}

export const latencyAt = (latency: Latency, nowMs: number): number => latency.ms * keptOf(latency, nowMs)

/** A clock that goes back changes nothing. */
const keptOf = ({ atMs }: Latency, nowMs: number): number => Math.exp(-Math.max(0, nowMs - atMs) / decayMs)

/** What one more request costs there: the answer's time, once for each that is in flight and for itself. */
export const costOf = (latency: Latency, inFlight: number, nowMs: number): number =>
  (latencyAt(latency, nowMs) + leastMs) * (inFlight + 1)

/** So that requests in flight count also where nothing was measured yet, in milliseconds. */
const leastMs = 0.1
