/** How an allowed request ended. Written after the fact, in batches; a missing outcome is shown as unknown. */

import type { Endpoint } from './snapshot.ts'
import type { SpiffeId } from './spiffe.ts'

export type OutcomeCode =
  | 'completed' // A whole response went to the caller.
  | 'refused' // The refusal went to the caller.
  | 'upstream_unreachable'
  | 'upstream_identity' // The upstream could not prove the name we expected.
  | 'upstream_reset' // It closed before or within its response.
  | 'upstream_invalid' // Its response could not be read.
  | 'upstream_timeout'
  | 'route_answered' // Its route has an answer of its own: a redirect, a text, a preflight's.
  | 'fault_injected' // Its route answered as if something had failed, for a test of callers.
  | 'request_unpatched' // Its body is no JSON, or too long, and its route changes it.
  | 'answer_unpatched' // The same of the answer's.
  | 'request_too_large' // Its body turned out longer than its listener or route takes.
  | 'upstream_overflow' // Nobody was asked, since as many requests are in flight, or wait, as its service may have.
  | 'circuit_open' // Nobody was asked, since the service has kept failing.
  | 'caller_gone' // The caller closed first.
  | 'drained' // We stopped while it was in flight.
  | 'revoked' // Its caller's identity ended, or a tunnel's policy allows it no more.

export interface Outcome {
  readonly code: OutcomeCode
  /** Status sent to the caller, 0 where none was. */
  readonly status: number
  /** Body bytes, without framing. */
  readonly requestBytes: number
  readonly responseBytes: number
  /** From the head's last byte to the response's last byte, in microseconds. */
  readonly durationUs: number
  /** `address:port` of the upstream that answered, empty where none was asked. */
  readonly upstream: string
  /** `grpc-status` of the answer, where it had one. */
  readonly grpcStatus?: number
  /** Of a request that was sent to another proxy of the mesh: what came back. */
  readonly peer?: PeerAnswer
  /** What was tried in vain before, in order. Default nothing. */
  readonly attempts?: readonly Attempt[]
  /** How long its route held it back, for a test of callers, in milliseconds. */
  readonly delayedMs?: number
  /** Where the last of several attempts went. */
  readonly endpoint?: Endpoint
  /** Why it was not tried again, though its rules ask for that. Default there was nothing to try again. */
  readonly stopped?: RetryStop
}

/** One of several attempts: it failed, or its answer was not taken. */
export interface Attempt {
  /** `completed` where there was an answer. */
  readonly code: OutcomeCode
  /** 0 where there was none. */
  readonly status: number
  readonly grpcStatus?: number
  /** `address:port`, empty where nothing was sent. */
  readonly upstream: string
  /** Where it was sent to another proxy of the mesh. */
  readonly peer?: PeerAnswer
}

export type RetryStop =
  | 'retry_limit' // As many attempts as its rules allow.
  | 'retry_budget' // Too many of the service's requests are retries already.
  | 'retry_unsafe' // The method is not one to be repeated, and something of the request had been sent.
  | 'retry_body' // More of the body had been sent than is kept.
  | 'retry_nowhere' // The circuit is open, or there is no endpoint.

export interface PeerAnswer {
  /** The name that the other proxy proved. */
  readonly target: SpiffeId
  /** 0 where no answer came. */
  readonly status: number
  /** `x-writ-decision` of the answer, empty where it had none. */
  readonly decision: string
  /** It was sent twice, since the first connection died. */
  readonly again: boolean
}
