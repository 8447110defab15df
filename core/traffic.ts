/** How requests of a service are spread and held back. Policies say who may ask; this says how much, and of whom. */

/** What a caller's proxy does with a service's requests. Default of each member: see docs/MESH.md. */
export interface ServiceTraffic {
  readonly balance?: Balance
  readonly outlier?: OutlierOptions
  /** Default none: requests go on to a service that keeps failing. */
  readonly breaker?: BreakerOptions
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

/** A bucket that holds `burst` requests and gets `perSecond` new ones: one for all, or one for each key. */
export interface RateLimit {
  readonly perSecond: number
  readonly burst: number
  /** Default one bucket for all. A request without the header or cookie is of the key "". */
  readonly by?: KeyPlace
}

export const outlierDefaults: OutlierOptions = { consecutive: 5, baseMs: 30_000, maxMs: 300_000, maxShare: 0.5 }

export const breakerDefaults: BreakerOptions = {
  failureThreshold: 5,
  openForMs: 10_000,
  successThreshold: 1,
  minimumRequests: 10,
}
