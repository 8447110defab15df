/** What is told of each request once it is over, to whoever counts, lists, shows or traces. */

import type { Decision } from '../../core/decision.ts'
import type { HeadFault, RequestFacts, RequestHead } from '../../core/facts.ts'
import type { Outcome } from '../../core/outcome.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { RecordId } from '../../core/record.ts'
import { grpcStatusOf, isGrpc } from '../flow/grpc.ts'
import type { Found } from '../flow/route.ts'

export interface Served {
  readonly facts: RequestFacts
  readonly found: Found | undefined
  readonly use: PolicyUse | undefined
  readonly decision: Decision
  /** Undefined where no record was kept. */
  readonly kept: RecordId | undefined
  readonly outcome: Outcome
}

/** One request's place in a trace. */
export interface Traced {
  /** 32 hex digits. */
  readonly traceId: string
  /** Sent on in place of what the caller sent. */
  readonly headers: Readonly<Record<string, string>>
  /** Fields of the caller that must not go on. */
  readonly remove: readonly string[]
  end(served: Served): void
}

/** None of them may throw or wait: requests pass through here. */
export interface Telemetry {
  /** Begins a span. Undefined where nobody traces. */
  trace(head: RequestHead | HeadFault, atNs: bigint, direction: RequestFacts['direction']): Traced | undefined
  /** A connection that is passed as bytes has been let through. */
  opened(facts: RequestFacts, found: Found): void
  /** A request or such a connection is over. */
  served(served: Served): void
}

/** Envoy's response flags, as far as they have a meaning here; dashboards and people know them. */
export const flags = [
  '-',
  'UAEX',
  'NR',
  'DPE',
  'DT',
  'UF',
  'UC',
  'UPE',
  'UT',
  'UO',
  'URX',
  'FI',
  'DI',
  'RL',
  'DC',
  'LR',
] as const
export type Flag = (typeof flags)[number]

/** The first thing that went wrong: a decision that is no yes comes before what became of its refusal. */
export function flagOf({ decision, outcome }: Pick<Served, 'decision' | 'outcome'>): Flag {
  if (decision.verdict !== 'allow') return decisionFlag(decision.code)
  switch (outcome.code) {
    case 'completed':
      return outcome.stopped === 'retry_limit' ? 'URX' : outcome.delayedMs === undefined ? '-' : 'DI'
    case 'route_answered':
      return '-'
    case 'fault_injected':
      return 'FI'
    case 'refused':
      return 'DPE' // It was allowed, and then its body could not be read.
    case 'upstream_unreachable':
    case 'upstream_identity':
      return 'UF'
    case 'upstream_reset':
      return 'UC'
    case 'request_unpatched':
    case 'request_too_large':
      return 'DPE'
    case 'upstream_invalid':
    case 'answer_unpatched':
      return 'UPE'
    case 'upstream_timeout':
      return 'UT'
    case 'circuit_open':
    case 'upstream_overflow':
      return 'UO'
    case 'caller_gone':
      return 'DC'
    case 'drained':
    case 'revoked':
      return 'LR'
    default:
      return 'LR'
  }
}

function decisionFlag(code: Decision['code']): Flag {
  switch (code) {
    case 'no_route':
    case 'tls_required':
      return 'NR'
    case 'bad_request':
    case 'head_too_large':
    case 'method_unsupported':
    case 'body_too_large':
      return 'DPE'
    case 'body_timeout':
      return 'DT'
    case 'rate_limited':
      return 'RL'
    default:
      return 'UAEX'
  }
}

/** Whether the answer is the upstream's own: all others were written here. */
export const answeredBy = ({ outcome }: Pick<Served, 'outcome'>): 'upstream' | 'proxy' | 'nobody' =>
  outcome.code === 'completed' ? 'upstream' : outcome.status === 0 ? 'nobody' : 'proxy'

/** Status of a gRPC call, -1 of anything else and where none came. */
export function grpcStatusIn({ facts: { head }, decision, outcome }: Served): number {
  if (head?.protocol !== 'HTTP/2' || !isGrpc(head)) return -1
  if (decision.verdict !== 'allow') return grpcStatusOf(decision.code)
  if (outcome.grpcStatus !== undefined) return outcome.grpcStatus
  return outcome.code === 'completed' || outcome.code === 'route_answered' ? -1 : grpcStatusOf(outcome.code)
}

/** The caller's name, or empty. */
export const callerOf = ({ source: { identified } }: RequestFacts): string =>
  identified.ok ? identified.identity.id : ''

/** The other end's name as far as it is known: our own workload's inbound, the endpoint's outbound. */
export const calleeOf = ({ direction, workload }: RequestFacts, found: Found | undefined): string =>
  direction === 'inbound' ? workload : (found?.endpoint.identity ?? '')

/** Whether both ends proved their names: inbound by what the caller showed, outbound by what its proxy will demand. */
export const isMutual = ({ direction, source: { identified } }: RequestFacts, found: Found | undefined): boolean =>
  direction === 'inbound'
    ? identified.ok && identified.identity.proof === 'x509'
    : found?.endpoint.identity !== undefined

/** What a policy's binding calls personal is not for the eyes of operators either. */
export const pathOf = ({ facts: { head }, use }: Served): string =>
  head ? (use?.personal?.includes('path') ? '(personal)' : head.path) : ''

export const addressOf = ({ facts: { source }, use }: Served): string =>
  use?.personal?.includes('source address') ? '(personal)' : `${source.address}:${source.port}`
