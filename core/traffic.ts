/** How requests of a service are spread and held back. Policies say who may ask; this says how much, and of whom. */

/** What a caller's proxy does with a service's requests. Default of each member: see docs/MESH.md. */
export interface ServiceTraffic {
  readonly balance?: Balance
  readonly outlier?: OutlierOptions
  /** Whether near endpoints are asked before far ones. Default `failover`, where caller and endpoints say where they are. */
  readonly locality?: 'failover' | 'any'
  /** Default an endpoint has its whole share at once. */
  readonly warmUp?: WarmUpOptions
  /** Default none: requests go on to a service that keeps failing. */
  readonly breaker?: BreakerOptions
  /** Default as the proxy's own limits are. */
  readonly connections?: ServiceBounds
  /** Default nothing is tried again. */
  readonly retry?: RetryRules
  readonly times?: TryTimes
  /** Time for a whole request where its route names none, in milliseconds. Default 15 000; 0 is none. */
  readonly timeoutMs?: number
}

/** How much one proxy process asks of a service at a time. Beyond it requests are refused with 503. */
export interface ServiceBounds {
  /** Connections of HTTP/1.1, or sessions of HTTP/2, to one endpoint for one workload. Default 256; further requests wait. */
  readonly upstreams?: number
  /** Requests that wait for one. Default 1024. */
  readonly pending?: number
  /** Requests in flight to the service, those that wait among them. Default any number. */
  readonly requests?: number
}

/** When a request is sent once more. All of it holds for one request; the budget is the service's. */
export interface RetryRules {
  /** Most further attempts. Default 2. */
  readonly attempts: number
  /** Default `connect-failure`, `reset` and `timeout`. */
  readonly on: readonly RetryCause[]
  /** Statuses that are not taken for an answer, beside those of `on`. Default none. */
  readonly statuses: readonly number[]
  /** The same of gRPC, where nothing else has come of the answer. Default none. */
  readonly grpcStatuses: readonly number[]
  /** Least wait before the first further attempt, in milliseconds; twice as long before each next. Default 25. */
  readonly backoffMs: number
  /** Longest wait, in milliseconds, to which up to half of it is added by chance. Default 250. */
  readonly maxBackoffMs: number
  /** Methods that may be repeated when something of the request has been sent. Default the idempotent ones. */
  readonly methods: readonly string[]
  /** Body that is kept for it, in bytes. Default 65 536; a request that has sent more is not tried again. */
  readonly bodyBytes: number
  readonly budget: RetryBudget
}

export type RetryCause =
  | 'connect-failure' // Nothing was sent: no connection, or the other end did not prove its name.
  | 'reset' // The connection ended before the answer began, or the answer was no HTTP.
  | 'timeout' // The time of one attempt was over before the answer began.
  | '5xx'
  | 'gateway-error' // 502, 503 and 504.

/** How many of a service's requests may be retries, so that a service that fails is not asked many times as much. */
export interface RetryBudget {
  /** Share of the requests of the last ten seconds, from 0 to 1. Default 0.2. */
  readonly share: number
  /** Retries a second that are allowed beside them, so that few requests are retried too. Default 10. */
  readonly perSecond: number
}

/** Of one attempt, in milliseconds; none where it is left out. */
export interface TryTimes {
  /** From its beginning to the end of its answer. */
  readonly tryMs?: number
  /** Until there is a connection, a new one or one that is free. */
  readonly connectMs?: number
  /** Without a byte either way. */
  readonly idleMs?: number
}

export const retryDefaults: RetryRules = {
  attempts: 2,
  on: ['connect-failure', 'reset', 'timeout'],
  statuses: [],
  grpcStatuses: [],
  backoffMs: 25,
  maxBackoffMs: 250,
  methods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'],
  bodyBytes: 65_536,
  budget: { share: 0.2, perSecond: 10 },
}

export type Balance =
  | { readonly type: 'peak-ewma' | 'least-request' | 'round-robin' | 'random' }
  /** By the key's hash, so that one key keeps its endpoint. A request without the key goes to any. */
  | { readonly type: 'ring-hash' | 'maglev'; readonly hashOn: KeyPlace }

/** Where a text stands that tells requests apart. `name` is lower case for a header, as it is for a cookie. */
export type KeyPlace =
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'cookie'; readonly name: string }
  | { readonly kind: 'caller' }

export interface OutlierOptions {
  /** Failures in a row that eject: answers of 500 and above, and none at all. Default 5. */
  readonly consecutive: number
  /** Time of the first ejection, in milliseconds; the n-th takes n times as long. Default 30 000. */
  readonly baseMs: number
  /** Longest time, in milliseconds. Default 300 000. */
  readonly maxMs: number
  /** Largest share of a service's endpoints that is ejected at once, from 0 to 1. Default 0.5; beyond it they stay. */
  readonly maxShare: number
}

/** An endpoint that is new, or comes back, is asked less often at first, so that its caches can fill. */
export interface WarmUpOptions {
  /** Time until it has its whole share, in milliseconds. */
  readonly ms: number
  /** Share that it begins with, from 0 to 1. Default 0.1. */
  readonly from: number
}

export interface BreakerOptions {
  /** Failures in a row that open it. Default 5. */
  readonly failureThreshold: number
  /** Time until it lets trials through, in milliseconds. Default 10 000. */
  readonly openForMs: number
  /** Trials in a row that close it again, and how many are under way at once. Default 1. */
  readonly successThreshold: number
  /** Answers since it was closed, below which it does not open. Default 10. */
  readonly minimumRequests: number
}

/** What a listener takes of each source. A source is an address, or all addresses that share their first bits. */
export interface SourceLimits {
  /** Ranges of addresses, as `10.0.0.0/8`, that alone may connect. Default all may. */
  readonly allow?: readonly string[]
  /** Ranges that may not, whatever is allowed. Default none. */
  readonly deny?: readonly string[]
  /** Bits that make a source. Default 32, and 64 of IPv6, which is what one customer has. */
  readonly prefix: { readonly ipv4: number; readonly ipv6: number }
  /** Open at a time. Default any number. */
  readonly connections?: number
  /** Handshakes of TLS under way at a time. Default any number. */
  readonly handshakes?: number
  /** New connections. Default any number. */
  readonly rate?: { readonly perSecond: number; readonly burst: number }
}

/** A bucket that holds `burst` requests and gets `perSecond` new ones: one for all, or one for each key. */
export interface RateLimit {
  readonly perSecond: number
  readonly burst: number
  /** Default one bucket for all. A request without the header or cookie is of the key "". */
  readonly by?: KeyPlace
}

/** A backend of a weighted route that loses its weight by itself where it does worse than the others do meanwhile. */
export interface RouteCanary {
  /** The service on trial. */
  readonly backend: string
  /** Names what is on trial, in records. Default nothing. */
  readonly version?: string
  /** Another one is another trial: it stands for weights, rules and version. */
  readonly revision: string
  readonly errors: ShareRules
  /** Default nobody looks at the time that answers take. */
  readonly slow?: ShareRules & {
    /** An answer that takes longer is slow, in milliseconds. */
    readonly aboveMs: number
  }
  /** Requests on either side before the two are compared. Default 100. */
  readonly minRequests: number
  /** Time over which they are compared, in milliseconds. Default 300 000. */
  readonly windowMs: number
}

/** How large a share of requests may be, in percent. */
export interface ShareRules {
  /** Above that of the other side, in percentage points. Default 5. */
  readonly maxRise: number
  /** In all, whatever the other side does. Default any share. */
  readonly max?: number
}

export const outlierDefaults: OutlierOptions = { consecutive: 5, baseMs: 30_000, maxMs: 300_000, maxShare: 0.5 }

export const breakerDefaults: BreakerOptions = {
  failureThreshold: 5,
  openForMs: 10_000,
  successThreshold: 1,
  minimumRequests: 10,
}
