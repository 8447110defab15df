/** When to ask a bundle server again: after an answer, after a long poll, after a failure. */

export interface Polling {
  /** Time between requests, drawn anew each time so that many askers spread out, in milliseconds. Default 60 000 to 120 000. */
  readonly minMs: number
  readonly maxMs: number
  /** How long a server that can is asked to hold a request until there is news, in seconds. 0 is never. Default 60. */
  readonly waitS: number
}

export const pollingDefaults: Polling = { minMs: 60_000, maxMs: 120_000, waitS: 60 }

export type Asked =
  | { readonly kind: 'answered'; readonly news: boolean; readonly waitedS: number; readonly tookMs: number }
  /** How many times in a row by now, this one included. */
  | { readonly kind: 'failed'; readonly failures: number }

/** A server that gives news without end is asked once in this time all the same. */
const quickestMs = 1000

/** `random` is at least 0 and less than 1. */
export function delayAfter(asked: Asked, { minMs, maxMs }: Polling, random: number): number {
  if (asked.kind === 'failed') {
    const backOff = Math.min(maxMs, quickestMs * 2 ** Math.min(asked.failures - 1, 30))
    return backOff / 2 + (backOff / 2) * random
  }
  if (asked.waitedS > 0 && asked.news) return quickestMs
  // One that was asked to wait and did not is polled like any other, not asked in a circle.
  if (asked.waitedS > 0 && asked.tookMs >= asked.waitedS * 500) return 0
  return minMs + (maxMs - minMs) * random
}

/** A bundle that was taken, as it is known once its bytes lie on disk. */
export interface KeptBundle {
  readonly sha256: string
  readonly revision: string
  /** When it came, in milliseconds since 1970. */
  readonly atMs: number
}

/** Where a source stands. What is in force and what the server gave last differ after a rollback. */
export interface SourceState {
  readonly v: 1
  /** URL that it came from: an ETag is nothing to another server. */
  readonly url: string
  /** The last good bundle that the server gave. */
  readonly served: { readonly sha256: string; readonly etag: string | undefined } | undefined
  /** Digest of the bundle that decides. */
  readonly inForce: string | undefined
  /** Newest first; those that can be gone back to. */
  readonly kept: readonly KeptBundle[]
}

/** The server gave a bundle that can be put in force. One that it gave before, and that was left for another, stays left. */
export function afterGood(state: SourceState, bundle: KeptBundle, etag: string | undefined, keep: number): SourceState {
  const served = { sha256: bundle.sha256, etag }
  if (state.served?.sha256 === bundle.sha256) return { ...state, served }
  const others = state.kept.filter(({ sha256 }) => sha256 !== bundle.sha256)
  return { ...state, served, inForce: bundle.sha256, kept: [bundle, ...others].slice(0, keep) }
}

/** Goes back, until the server gives something new; undefined where no such revision is kept. */
export function afterRollback(state: SourceState, revision: string): SourceState | undefined {
  const bundle = state.kept.find((one) => one.revision === revision)
  return bundle && { ...state, inForce: bundle.sha256 }
}
