/** Errors over HTTP: RFC 9457 problem details with our codes, the same at every door. */

import type { FaultCode } from '../core/fault.ts'
import type { IdentityRefusal } from '../core/identity.ts'
import type { Json } from '../core/json.ts'

export type ProblemCode = FaultCode | IdentityRefusal

export interface HttpProblem {
  readonly code: ProblemCode
  readonly detail: string
  readonly cure?: string | undefined
  /** Default: that of the code. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Further members (RFC 9457 section 3.2). */
  readonly more?: { readonly [name: string]: Json }
}

export function problemResponse({ code, detail, cure, status = statuses[code], headers, more }: HttpProblem): Response {
  const body = { type: `urn:writ:problem:${code}`, title: titleOf(code), status, detail, code, cure, ...more }
  return new Response(`${JSON.stringify(body)}\n`, {
    status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...headers },
  })
}

const titleOf = (code: ProblemCode): string => code.replaceAll('_', ' ')

const statuses: Readonly<Record<ProblemCode, number>> = {
  usage: 400,
  config_invalid: 400,
  certificate_invalid: 400,
  policy_invalid: 400,
  record_invalid: 400,
  unauthorized: 401,
  token_invalid: 401,
  identity_missing: 401,
  identity_invalid: 401,
  identity_expired: 401,
  identity_untrusted: 401,
  forbidden: 403,
  identity_revoked: 403,
  not_found: 404,
  trust_mismatch: 409,
  fork: 409,
  fenced: 409,
  in_use: 409,
  version: 409,
  log_invalid: 500,
  internal: 500,
  identity_unavailable: 503,
  compiler_missing: 503,
  audit_unavailable: 503,
  stream_unavailable: 503,
  store_unavailable: 503,
  unavailable: 503,
}

/** Refusals of a peer have codes of their own, which no WritError carries. */
const refusals: Readonly<Record<IdentityRefusal, true>> = {
  identity_missing: true,
  identity_invalid: true,
  identity_expired: true,
  identity_revoked: true,
  identity_untrusted: true,
}

export const isFaultCode = (text: string): text is FaultCode =>
  Object.hasOwn(statuses, text) && !Object.hasOwn(refusals, text)
