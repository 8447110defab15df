/** What is known of a request when it is judged. Parsed once; what is here is also what is forwarded. */

import type { Exact } from './exact.ts'
import type { Identified } from './identity.ts'
import type { SpiffeId } from './spiffe.ts'
import type { TokenPlace, TokenRefusal } from './token.ts'

/** A request's head in the one form that routes, policies and upstreams see. */
export interface RequestHead {
  /** Upper case, a token (RFC 9110 section 9.1). */
  readonly method: string
  /** Lower-case host, with the port where the request named one. */
  readonly authority: string
  /** Normalised path without query, from its slash on (RFC 3986 section 6.2.2, our own rules); `*` for OPTIONS *. */
  readonly path: string
  /** Raw query without its question mark; undefined where there is none. */
  readonly query: string | undefined
  /** Lower-case names; repeated fields joined by ", " in order (RFC 9110 section 5.3). */
  readonly headers: Readonly<Record<string, string>>
  readonly protocol: 'HTTP/1.1' | 'HTTP/1.0' | 'HTTP/2'
  readonly scheme: 'http' | 'https'
}

/** Why a head could not be read, with the status class that follows. */
export interface HeadFault {
  readonly code: 'bad_request' | 'head_too_large' | 'method_unsupported'
  readonly detail: string
}

/** What was read of a body before the request was judged. */
export interface RequestBody {
  /** Of JSON, of a form and of multipart: its value as OPA-Envoy gives it in `parsed_body`. Null for anything else. */
  readonly parsed: Exact
  /** The text that was read; undefined where it is no UTF-8. */
  readonly text: string | undefined
  /** The bytes as base64 where they are no UTF-8. */
  readonly raw?: string
  /** Whether there was more than the binding lets a policy see. */
  readonly truncated: boolean
  /** Length of the whole body in bytes, -1 where nobody has said or seen it. */
  readonly size: number
}

/** What a token says that was found good. */
export interface TokenFacts {
  /** Name of the provider whose keys vouch for it. */
  readonly provider: string
  readonly issuer: string
  readonly subject: string | undefined
  readonly audiences: readonly string[]
  /** All of its payload. */
  readonly claims: { readonly [name: string]: Exact | undefined }
  /** Digest of the token, lower-case hex. */
  readonly sha256: string
  /** It names the certificate that its caller proved (RFC 8705), and that was compared. Left out where it was not. */
  readonly bound?: true
  /** Where it is taken out of what the service gets. Default it is sent on. */
  readonly strip?: TokenPlace
}

/** What a gRPC call is of: `/bank.Ledger/Post` is the method Post of the service bank.Ledger. */
export interface GrpcCall {
  readonly method: string
  readonly service: string
}

/** What became of a request's token; `token_unverifiable` means that no keys of its issuer are known. */
export type Authenticated =
  | { readonly ok: true; readonly token: TokenFacts }
  | { readonly ok: false; readonly code: TokenRefusal | 'token_unverifiable'; readonly detail: string }

export interface RequestFacts {
  readonly direction: 'inbound' | 'outbound'
  /** The workload that the listener stands for: the target of an inbound call, the caller of an outbound one. */
  readonly workload: SpiffeId
  /** `workload/listener`, unique in the cluster. */
  readonly listener: string
  readonly source: {
    readonly identified: Identified
    readonly address: string
    readonly port: number
  }
  readonly destination: {
    /** The service asked for, where a route was found. */
    readonly service: string | undefined
    readonly address: string
    readonly port: number
  }
  /** Of a connection that is passed as bytes, without a head: all of it is judged by one decision. Default HTTP. */
  readonly protocol?: 'tcp'
  /** Undefined where the head could not be read, and where there is none. */
  readonly head: RequestHead | undefined
  /** Of a gRPC call, by its path. Default it is none. */
  readonly grpc?: GrpcCall
  /** Where the binding lets the policy see bodies; a request without one has an empty one. */
  readonly body?: RequestBody
  /** Where the binding takes tokens and the request brings one that is good. */
  readonly token?: TokenFacts
  /** Joins what each hop records of one call; taken from x-request-id where that is a UUID-like token, else made here. */
  readonly requestId: string
  /** W3C trace id, 32 hex digits, or empty. */
  readonly traceId: string
  readonly atNs: bigint
}
