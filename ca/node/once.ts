/** What may be shown once: digests, each kept until what it stands for has ended. */

/** Most of them at a time. When they are as many, nothing more is taken until one has ended. */
export const maxShown = 100_000
/** Clocks of issuers may be behind ours, and then a token is taken for that much longer. */
export const shownSkewMs: number = 10 * 60_000

export interface Once {
  /** True the first time. */
  take(digest: string, notAfterMs: number, nowMs: number): boolean | Promise<boolean>
}

export function makeOnce(): Once {
  const held = new Map<string, number>()
  return {
    take(digest, notAfterMs, nowMs) {
      if (held.has(digest)) return false
      if (held.size >= maxShown) for (const [known, untilMs] of held) if (untilMs < nowMs) held.delete(known)
      if (held.size >= maxShown) return false
      held.set(digest, notAfterMs + shownSkewMs)
      return true
    },
  }
}
