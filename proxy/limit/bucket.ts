/** A token bucket. The state is a value, and time moves it. */

export interface Bucket {
  /** As of `atMs`. */
  readonly tokens: number
  readonly atMs: number
}

export interface BucketSize {
  readonly perSecond: number
  readonly burst: number
}

export const fullBucket = ({ burst }: BucketSize, atMs: number): Bucket => ({ tokens: burst, atMs })

/** With what has come since. A clock that goes back brings nothing. */
export function refilled({ tokens, atMs }: Bucket, nowMs: number, { perSecond, burst }: BucketSize): Bucket {
  const since = Math.max(0, nowMs - atMs)
  return { tokens: Math.min(burst, tokens + (since * perSecond) / 1000), atMs: Math.max(nowMs, atMs) }
}

/** Time until there is a whole token, in milliseconds; 0 where there is one. */
export const waitMs = ({ tokens }: Bucket, { perSecond }: BucketSize): number =>
  tokens >= 1 ? 0 : Math.ceil(((1 - tokens) * 1000) / perSecond)

export const taken = (bucket: Bucket): Bucket => ({ ...bucket, tokens: bucket.tokens - 1 })
