/** What gRPC asks of a proxy: its deadline, and refusals that its clients can read (gRPC over HTTP/2, PROTOCOL-HTTP2). */

import type { AllowCode, DecisionCode } from '../../core/decision.ts'
import type { GrpcCall, RequestHead } from '../../core/facts.ts'
import type { OutcomeCode } from '../../core/outcome.ts'
import { fieldOf, type Refusal } from '../exchange.ts'

type RefusalCode = Exclude<DecisionCode, AllowCode> | OutcomeCode

/** `application/grpc`, with a subtype or without; gRPC-Web is another protocol. */
export const isGrpc = (head: RequestHead): boolean => {
  const type = fieldOf(head, 'content-type')
  return type !== undefined && /^application\/grpc(?:\+[^;]*)?(?:$|\s*;)/i.test(type)
}

/** Service and method of a call, by its path (PROTOCOL-HTTP2, Requests). Undefined of what is no call over HTTP/2. */
export function grpcCallOf(head: RequestHead): GrpcCall | undefined {
  if (head.protocol !== 'HTTP/2' || !isGrpc(head)) return undefined
  const cut = head.path.indexOf('/', 1)
  if (cut < 2 || cut === head.path.length - 1 || head.path.includes('/', cut + 1)) return undefined
  return { method: head.path.slice(cut + 1), service: head.path.slice(1, cut) }
}

const unitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/** Longest time that a timer takes, in milliseconds: 24 days. */
const longestMs = 2 ** 31 - 1

/** Eight digits at most and a unit; anything else is no deadline. In milliseconds, rounded up. */
export function grpcTimeoutMs(field: string | undefined): number | undefined {
  const match = field === undefined ? undefined : /^([0-9]{1,8})([HMSmun])$/.exec(field)
  if (!match) return undefined
  return Math.min(Math.ceil(Number(match[1]) * unitsMs[match[2]!]!), longestMs)
}

const invalidArgument = 3
const deadlineExceeded = 4
const permissionDenied = 7
const resourceExhausted = 8
const unimplemented = 12
const internal = 13
const unavailable = 14
const unauthenticated = 16

/** `grpc-status` of a field or trailer; undefined where it is none of gRPC's. */
export const readGrpcStatus = (field: string | undefined): number | undefined =>
  field !== undefined && /^(?:[0-9]|1[0-6])$/.test(field) ? Number(field) : undefined

/** The status of each of our codes. */
export function grpcStatusOf(code: RefusalCode): number {
  switch (code) {
    case 'bad_request':
    case 'request_unpatched':
    case 'token_ambiguous':
      return invalidArgument
    case 'head_too_large':
    case 'rate_limited':
    case 'body_too_large':
    case 'request_too_large':
      return resourceExhausted
    case 'body_timeout':
    case 'upstream_timeout':
      return deadlineExceeded
    case 'identity_missing':
    case 'identity_invalid':
    case 'identity_expired':
    case 'identity_untrusted':
    case 'token_invalid':
    case 'token_expired':
      return unauthenticated
    case 'policy_denied':
    case 'identity_revoked':
    case 'revoked':
      return permissionDenied
    case 'no_route':
    case 'tls_required':
    case 'method_unsupported':
    case 'method_refused':
      return unimplemented
    case 'upstream_invalid':
    case 'answer_unpatched':
      return internal
    case 'drained':
      return unavailable
    default:
      return unavailable // Faults of ours and failures of upstreams: another try may well succeed.
  }
}

/** The same refusal as a response of trailers only: HTTP says 200, and `grpc-status` what happened. */
export function grpcRefusal(
  refusal: Refusal,
  code: RefusalCode,
  told: string,
  status: number = grpcStatusOf(code),
): Refusal {
  const { 'content-type': _, ...headers } = refusal.headers
  return {
    status: 200,
    headers: {
      'content-type': 'application/grpc',
      'grpc-status': String(status),
      'grpc-message': percentEncoded(`${code}: ${told}`),
      ...headers,
    },
    body: '',
  }
}

/** Printable ASCII but for the percent sign stands as it is; all else by its bytes. */
const percentEncoded = (text: string): string =>
  text.replaceAll(/[^\x20-\x24\x26-\x7e]+/gu, (run) =>
    [...new TextEncoder().encode(run)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
