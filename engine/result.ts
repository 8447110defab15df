/** Reads what a rule answered: a boolean, or an object in OPA-Envoy's shape with our `reasons`. Anything else is invalid. */

import type { HeaderEffects, PolicyAnswer } from '../core/decision.ts'
import { isObject, type Json } from '../core/json.ts'
import { readHeaderNames, readHeaders } from './headers.ts'

export type Result =
  | { readonly kind: 'allow'; readonly reasons: readonly string[]; readonly effects?: HeaderEffects }
  | { readonly kind: 'deny'; readonly reasons: readonly string[]; readonly answer?: PolicyAnswer }
  | { readonly kind: 'invalid'; readonly detail: string }

const maxReasons = 16
const maxReasonLength = 256
const maxBodyLength = 64 * 1024

/** Refusals and redirects that have a body of their own (RFC 9110 section 15; 304 has none). */
const statuses: ReadonlySet<number> = new Set([
  ...[300, 301, 302, 303, 307, 308],
  ...[400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417],
  ...[421, 422, 423, 424, 425, 426, 428, 429, 431, 451],
  ...[500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511],
])

/** Changes to the query that Envoy would make; here what was judged is what is forwarded. */
const queryEffects = ['query_parameters_to_set', 'query_parameters_to_remove'] as const

export function readResult(value: Json): Result {
  if (typeof value === 'boolean') return { kind: value ? 'allow' : 'deny', reasons: [] }
  if (!isObject(value)) return invalid('the answer is neither a boolean nor an object')
  const allowed = value['allowed']
  if (typeof allowed !== 'boolean') return invalid('"allowed" is missing or no boolean')
  const reasons = readReasons(value['reasons'])
  if (!reasons) return invalid('"reasons" is no array of strings')
  const query = queryEffects.find((name) => !isEmpty(value[name]))
  if (query) return invalid(`"${query}" is not possible: what was judged is what is forwarded`)
  return allowed ? allow(value, reasons) : deny(value, reasons)
}

type Members = { readonly [key: string]: Json | undefined }

function allow(value: Members, reasons: readonly string[]): Result {
  const setOnRequest = readHeaders(value['headers'])
  if (!setOnRequest) return invalid('"headers" has the wrong form, or names a header that no policy may set')
  const setOnResponse = readHeaders(value['response_headers_to_add'])
  if (!setOnResponse) return invalid('"response_headers_to_add" has the wrong form, or a header that no policy may set')
  const removeFromRequest = readHeaderNames(value['request_headers_to_remove'])
  if (!removeFromRequest) return invalid('"request_headers_to_remove" has the wrong form, or a header that must stay')
  const effects = {
    ...(isEmpty(setOnRequest) ? {} : { setOnRequest }),
    ...(isEmpty(setOnResponse) ? {} : { setOnResponse }),
    ...(isEmpty(removeFromRequest) ? {} : { removeFromRequest }),
  }
  return isEmpty(effects) ? { kind: 'allow', reasons } : { kind: 'allow', reasons, effects }
}

function deny(value: Members, reasons: readonly string[]): Result {
  const headers = readHeaders(value['headers'])
  if (!headers) return invalid('"headers" has the wrong form, or names a header that no policy may set')
  const status = value['http_status']
  if (status !== undefined && !(typeof status === 'number' && statuses.has(status))) {
    return invalid('"http_status" is no status of a refusal')
  }
  const body = value['body']
  if (body !== undefined && !(typeof body === 'string' && body.length <= maxBodyLength)) {
    return invalid(`"body" is no text of at most ${maxBodyLength} characters`)
  }
  const answer = {
    ...(status === undefined ? {} : { status }),
    ...(isEmpty(headers) ? {} : { headers }),
    ...(body === undefined ? {} : { body: body.toWellFormed() }),
  }
  return isEmpty(answer) ? { kind: 'deny', reasons } : { kind: 'deny', reasons, answer }
}

/** Long ones are cut and surplus ones left out: reasons explain, and no length of them changes an answer. */
function readReasons(value: Json | undefined): readonly string[] | undefined {
  if (value === undefined) return []
  if (!Array.isArray(value) || !value.every((reason) => typeof reason === 'string')) return undefined
  return value.slice(0, maxReasons).map(boundedReason)
}

export function boundedReason(reason: string): string {
  const cut = reason.length > maxReasonLength ? `${reason.slice(0, maxReasonLength - 1)}…` : reason
  return cut.toWellFormed() // A cut may part a surrogate pair.
}

const isEmpty = (value: object | Json | undefined): boolean =>
  value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)

const invalid = (detail: string): Result => ({ kind: 'invalid', detail })
