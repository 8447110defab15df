/** How an allowed request ended. Written after the fact, in batches; a missing outcome is shown as unknown. */

export type OutcomeCode =
  | 'completed' // A whole response went to the caller.
  | 'refused' // The refusal went to the caller.
  | 'upstream_unreachable'
  | 'upstream_identity' // The upstream could not prove the name we expected.
  | 'upstream_reset' // It closed before or within its response.
  | 'upstream_invalid' // Its response could not be read.
  | 'upstream_timeout'
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
}

export interface PeerAnswer {
  /** 0 where no answer came. */
  readonly status: number
  /** `x-writ-decision` of the answer, empty where it had none. */
  readonly decision: string
  /** It was sent twice, since the first connection died. */
  readonly again: boolean
}
