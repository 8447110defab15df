/** Long polls: a caller who has the newest answer already may wait for the next (RFC 7240 `Prefer: wait`). */

/** Longest wait, in milliseconds. */
export const maxWaitMs = 30_000

/** Milliseconds of `Prefer: wait=N`, at most `maxWaitMs`; 0 without one. */
export function waitOf(prefer: string | undefined): number {
  const match = /(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,6})"?(?:$|[,;\s])/i.exec(prefer ?? '')
  return match ? Math.min(Number(match[1]) * 1000, maxWaitMs) : 0
}

/** Calls back after each change, until the returned function is called. */
export type Subscribe = (changed: () => void) => () => void

/** Resolves with true once `done` holds after a change; with false when the time is over or `signal` ends it. */
export function waitUntil(
  done: () => boolean,
  subscribe: Subscribe,
  ms: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (ms <= 0 || signal.aborted || done()) return Promise.resolve(done())
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      unsubscribe()
      signal.removeEventListener('abort', finish)
      resolve(done())
    }
    const unsubscribe = subscribe(() => {
      if (done()) finish()
    })
    const timer = setTimeout(finish, ms)
    signal.addEventListener('abort', finish, { once: true })
  })
}
