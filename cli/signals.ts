/** Waiting for the signals that end a process. */

export interface Until {
  readonly aborted: boolean
  readonly signal: AbortSignal
  /** Resolves after that time or at the signal; without a time, at the signal. */
  wait(ms?: number): Promise<void>
}

/**
 * A terminal tells the whole group of Ctrl-C, and npm passes it on once more: within this time, in milliseconds, a
 * second signal is the first one again.
 */
const sameMs = 1000

/** The first of these signals ends the wait; one that comes later than a moment after it ends the process at once. */
export function until(...signals: readonly NodeJS.Signals[]): Until {
  const controller = new AbortController()
  let firstAt: number | undefined
  for (const signal of signals) {
    process.on(signal, () => {
      firstAt ??= performance.now()
      controller.abort()
      if (performance.now() - firstAt > sameMs) process.exit(130)
    })
  }
  return {
    get aborted() {
      return controller.signal.aborted
    },
    signal: controller.signal,
    wait: (ms) =>
      new Promise((resolve) => {
        if (controller.signal.aborted) return resolve()
        // A pending promise keeps no process alive; this timer does, until the signal.
        const timer = setTimeout(() => done(), ms ?? 2 ** 31 - 1)
        const done = (): void => {
          clearTimeout(timer)
          controller.signal.removeEventListener('abort', done)
          resolve()
        }
        controller.signal.addEventListener('abort', done)
      }),
  }
}
