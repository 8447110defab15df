/** What a route does to its requests besides sending them on (Gateway API HTTPRouteFilter, and what that leaves to extensions). */

import type { Json } from './json.ts'

export interface RouteFilters {
  readonly request?: HeaderChanges
  readonly response?: HeaderChanges
  readonly rewrite?: Rewrite
  /** Copies of requests whose answers nobody reads. */
  readonly mirrors?: readonly Mirror[]
  readonly cors?: Cors
  /** In place of sending it on; one of the two at most. */
  readonly redirect?: Redirect
  readonly answer?: DirectAnswer
  readonly inject?: FaultInjection
  readonly transform?: Transform
}

/** Lower-case names. */
export interface HeaderChanges {
  /** In place of those of the same name. */
  readonly set?: Readonly<Record<string, string>>
  /** Beside those of the same name. */
  readonly add?: Readonly<Record<string, string>>
  readonly remove?: readonly string[]
}

/** `prefix`: what stands in place of the prefix that the route matched. Both are paths in normal form. */
export interface PathChange {
  readonly type: 'full' | 'prefix'
  readonly value: string
}

export interface Rewrite {
  readonly host?: string
  readonly path?: PathChange
}

export interface Mirror {
  readonly service: string
  /** Share of requests, from 0 to 1. */
  readonly share: number
}

/** What is left out is as in the request. */
export interface Redirect {
  readonly scheme?: 'http' | 'https'
  readonly host?: string
  readonly port?: number
  readonly path?: PathChange
  readonly status: 301 | 302 | 303 | 307 | 308
}

/** Fetch, CORS protocol. `*` among the origins, methods or headers is any. */
export interface Cors {
  /** `https://shop.example`, `https://*.shop.example`, or `*`. */
  readonly origins: readonly string[]
  readonly methods: readonly string[]
  /** Lower case. */
  readonly headers: readonly string[]
  readonly expose: readonly string[]
  readonly credentials: boolean
  /** Time for which a browser remembers the answer to a preflight, in seconds. */
  readonly maxAgeS: number
}

export interface DirectAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
}

/** Faults for tests of callers: shares from 0 to 1. */
export interface FaultInjection {
  readonly delay?: { readonly ms: number; readonly share: number }
  readonly abort?: { readonly status: number; readonly grpcStatus?: number; readonly share: number }
  /** Only requests with this header, of this value where there is one. Default every request. */
  readonly header?: { readonly name: string; readonly value?: string }
}

/** Merge patches (RFC 7396) of JSON bodies. Default they are as they come. */
export interface Transform {
  readonly request?: Json
  readonly response?: Json
  /** Longest body, in bytes; a longer one is refused. */
  readonly maxBytes: number
}

/** Framing, routing, connection and identity: what neither a policy nor a route ever sets or removes. */
const own: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'http2-settings',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'x-request-id',
  'x-writ-decision',
  'x-forwarded-client-cert',
])

/** An underscore counts as a hyphen, as in servers that read CGI variables. */
export const isOwnField = (name: string): boolean => own.has(name.toLowerCase().replaceAll('_', '-'))
