/** What a refused caller reads: RFC 9457 problem details, with the code and the ids that lead to the record. */

import type { AllowCode, DecisionCode } from '../../core/decision.ts'
import type { OutcomeCode } from '../../core/outcome.ts'
import type { Refusal } from '../exchange.ts'
import { grpcRefusal } from './grpc.ts'

export interface ProblemIds {
  readonly requestId: string
  /** `3f2a…-17`, for `writ explain`. Undefined where no record was kept. */
  readonly decisionId: string | undefined
}

export type UpstreamFailure = Exclude<OutcomeCode, 'completed' | 'refused' | 'route_answered' | 'caller_gone'>

type ProblemCode = Exclude<DecisionCode, AllowCode> | UpstreamFailure

export const titles: Readonly<Record<ProblemCode, string>> = {
  policy_denied: 'The policy of this service does not allow the request.',
  no_route: 'Nothing serves this host and path.',
  bad_request: 'The request is malformed or ambiguous.',
  head_too_large: 'The request head is too large.',
  body_timeout: 'The request body did not come in time.',
  method_unsupported: 'The method or upgrade is not supported.',
  quarantined: 'The caller is in quarantine.',
  tls_required: 'The host is served over TLS alone.',
  rate_limited: 'There are more requests than are taken at the moment.',
  method_refused: 'The method is not one of those that are taken here.',
  body_too_large: 'The request body is too large.',
  token_invalid: 'The token of the request does not hold.',
  token_expired: 'The token of the request is not valid at this time.',
  token_ambiguous: 'The request brings more than one token.',
  token_unverifiable: 'The token of the request cannot be checked at the moment.',
  identity_missing: 'The caller showed no identity.',
  identity_invalid: "The caller's identity does not hold.",
  identity_expired: "The caller's identity is not valid at this time.",
  identity_revoked: "The caller's identity was revoked.",
  identity_untrusted: "The caller's trust domain is not trusted here.",
  policy_missing: 'No policy is loaded for this service.',
  policy_undefined: 'The policy gave no answer.',
  policy_result_invalid: 'The policy gave an answer that cannot be used.',
  policy_error: 'The policy could not be evaluated.',
  policy_limit: 'The policy ran out of its limits.',
  policy_data_stale: 'What the policy decides by is too old.',
  identity_unavailable: 'This proxy has no identity at the moment.',
  audit_unavailable: 'The decision could not be recorded.',
  internal: 'The request could not be judged.',
  upstream_unreachable: 'The service could not be reached.',
  upstream_identity: 'The service could not prove its identity.',
  upstream_reset: 'The service closed the connection.',
  upstream_invalid: 'The service sent a response that cannot be read.',
  upstream_timeout: 'The service did not answer in time.',
  request_too_large: 'The request body is too large.',
  request_unpatched: 'The body is no JSON or too long, and its route would change it.',
  answer_unpatched: 'The service sent a body that cannot be changed as its route says.',
  fault_injected: 'The route injects this fault, for a test of its callers.',
  upstream_overflow: 'The service has as many requests as it may have at the moment.',
  circuit_open: 'The service has kept failing and is not asked for a while.',
  drained: 'The proxy is stopping.',
  revoked: 'The caller is allowed no longer.',
}

/** `detail` is text of our own. A policy's reasons are for the record, and are `told` where its binding says so. */
export function problem(
  status: number,
  code: ProblemCode,
  ids: ProblemIds,
  detail?: string,
  told: readonly string[] = [],
): Refusal {
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    'x-request-id': ids.requestId,
  }
  if (ids.decisionId !== undefined) headers['x-writ-decision'] = ids.decisionId
  const body = {
    type: `urn:writ:problem:${code}`,
    title: titles[code],
    status,
    ...(detail === undefined ? undefined : { detail }),
    code,
    ...(told.length === 0 ? undefined : { reasons: told }),
    request_id: ids.requestId,
    ...(ids.decisionId === undefined ? undefined : { decision_id: ids.decisionId }),
  }
  return { status, headers, body: `${JSON.stringify(body)}\n` }
}

const upstreamStatus: Readonly<Record<UpstreamFailure, number>> = {
  upstream_unreachable: 503,
  upstream_identity: 503,
  upstream_reset: 502,
  upstream_invalid: 502,
  upstream_timeout: 504,
  request_unpatched: 400,
  request_too_large: 413,
  answer_unpatched: 502,
  fault_injected: 503,
  upstream_overflow: 503,
  circuit_open: 503,
  drained: 503,
  revoked: 403,
}

/** What the caller reads where the upstream failed before its response began. */
export function upstreamProblem(code: UpstreamFailure, ids: ProblemIds, grpc = false): Refusal {
  const refusal = problem(upstreamStatus[code], code, ids)
  return grpc ? grpcRefusal(refusal, code, titles[code]) : refusal
}
