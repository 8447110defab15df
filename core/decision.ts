/** What was decided about one request. Every code is on one of three lists, and the code fixes the status. */

import type { IdentityRefusal } from './identity.ts'
import type { Json } from './json.ts'
import type { AgedData, PolicyRef, PolicyTrial } from './policy.ts'
import type { TokenRefusal } from './token.ts'

export type AllowCode =
  | 'allowed' // A policy said yes.
  | 'fault_passed' // No policy could tell, and the binding lets such requests pass.
  | 'routed' // An outbound listener passed its own workload's call on, to be judged where it arrives.

export type DenyCode =
  | 'policy_denied'
  | 'no_route'
  | 'bad_request' // Malformed or ambiguous.
  | 'head_too_large'
  | 'body_timeout' // The body that a policy was to see did not come in time.
  | 'method_unsupported' // CONNECT, TRACE or an upgrade on a listener that has none.
  | 'quarantined' // The caller is cut off for a time, by an operator or the mesh file.
  | 'tls_required' // A gateway serves the host over TLS alone; the answer says where.
  | 'rate_limited' // More than its listener, its route or its caller may ask at the moment.
  | 'method_refused' // Its listener or route takes other methods.
  | 'body_too_large' // Longer than its listener or route takes, by what it says of itself.
  | TokenRefusal
  | IdentityRefusal

export type DecisionFault =
  | 'policy_missing' // Nothing is bound, or its bundle is not loaded.
  | 'policy_undefined' // The entry point has no value.
  | 'policy_result_invalid' // A value of the wrong type.
  | 'policy_error' // The evaluation failed.
  | 'policy_limit' // Out of work, memory or depth.
  | 'policy_data_stale' // Data that is fetched beside the rules is older than its binding allows.
  | 'token_unverifiable' // No keys are known of the issuer whose token it is.
  | 'identity_unavailable' // We have no identity of our own to answer with.
  | 'audit_unavailable' // The record could not be kept.
  | 'internal'

export type DecisionCode = AllowCode | DenyCode | DecisionFault

/** Who decided: a policy by name, or the proxy itself. */
export type DecidedBy =
  | {
      readonly by: 'policy'
      readonly policy: PolicyRef
      /** Of a policy on trial: the trial, and the rule that it asks. */
      readonly trial?: Pick<PolicyTrial, 'name' | 'mode' | 'entrypoint'>
      /** Data that was fetched beside the rules. Default none. */
      readonly data?: readonly AgedData[]
      /** What builtins were answered by the world; `dropped` where that was too much. Default nothing. */
      readonly world?: WorldAnswers | 'dropped'
    }
  | { readonly by: 'proxy' }

/** By name of the builtin, then by its arguments as a JSON array. Null is an answer that there was none. */
export type WorldAnswers = { readonly [builtin: string]: { readonly [args: string]: Json } }

/** Headers a policy asks for, as OPA-Envoy has them. Names are lower case; framing, Host and identity never change. */
export interface HeaderEffects {
  readonly setOnRequest?: Readonly<Record<string, string>>
  readonly removeFromRequest?: readonly string[]
  readonly setOnResponse?: Readonly<Record<string, string>>
}

/** The answer a policy wants a refused caller to see; the status stays that of the code where it names none. */
export interface PolicyAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/**
 * `allow` and `deny` are answers; a `fault` means that we could not tell, which passes nobody. Where a binding says so, a
 * fault of its policy becomes an `allow` with the code `fault_passed`, and is no fault any more.
 */
export type Decision =
  | {
      readonly verdict: 'allow'
      readonly code: AllowCode
      readonly from: DecidedBy
      readonly reasons: readonly string[]
      readonly effects?: HeaderEffects
    }
  | {
      readonly verdict: 'deny'
      readonly code: DenyCode
      readonly from: DecidedBy
      readonly reasons: readonly string[]
      readonly answer?: PolicyAnswer
    }
  | {
      readonly verdict: 'fault'
      readonly code: DecisionFault
      readonly from: DecidedBy
      readonly reasons: readonly string[]
    }

export type Verdict = Decision['verdict']

/** The HTTP status a refused caller sees; 200 stands for "go on" and is never sent by us. */
export function statusOf(code: DecisionCode): number {
  switch (code) {
    case 'allowed':
    case 'fault_passed':
    case 'routed':
      return 200
    case 'tls_required':
      return 308
    case 'bad_request':
    case 'token_ambiguous':
      return 400
    case 'identity_missing':
    case 'identity_invalid':
    case 'identity_expired':
    case 'identity_untrusted':
    case 'token_invalid':
    case 'token_expired':
      return 401
    case 'identity_revoked':
    case 'policy_denied':
    case 'quarantined':
      return 403
    case 'no_route':
      return 404
    case 'method_refused':
      return 405
    case 'body_timeout':
      return 408
    case 'body_too_large':
      return 413
    case 'rate_limited':
      return 429
    case 'head_too_large':
      return 431
    case 'method_unsupported':
      return 501
    case 'policy_missing':
    case 'policy_undefined':
    case 'policy_result_invalid':
    case 'policy_error':
    case 'policy_limit':
    case 'policy_data_stale':
    case 'token_unverifiable':
    case 'identity_unavailable':
    case 'audit_unavailable':
    case 'internal':
      return 503 // Unsure means no: what cannot be answered admits nobody.
  }
}

/** A refusal by the proxy itself. */
export function refuse(code: DenyCode, reason: string): Decision {
  return { verdict: 'deny', code, from: { by: 'proxy' }, reasons: [reason] }
}

/** A fault of the proxy itself. */
export function fault(code: DecisionFault, reason: string): Decision {
  return { verdict: 'fault', code, from: { by: 'proxy' }, reasons: [reason] }
}
