/** What may be shown once: digests, each kept until what it stands for has ended. */

/** Most of them at a time. When they are as many, nothing more is taken until one has ended. */
const maxHeld = 100_000
/** Clocks of issuers may be behind ours, and then a token is taken for that much longer. */
const skewMs = 10 * 60_000

export interface Once {
  /** True the first time. */
  take(digest: string, notAfterMs: number, nowMs: number): boolean
}

export function makeOnce(): Once {
  const held = new Map<string, number>()
  return {
    take(digest, notAfterMs, nowMs) {
      if (held.has(digest)) return false
      if (held.size >= maxHeld) for (const [known, untilMs] of held) if (untilMs < nowMs) held.delete(known)
      if (held.size >= maxHeld) return false
      held.set(digest, notAfterMs + skewMs)
      return true
    },
  }
}
