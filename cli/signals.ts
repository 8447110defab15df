/** Waiting for the signals that end a process. */

export interface Until {
  readonly aborted: boolean
  readonly signal: AbortSignal
  /** Resolves after that time or at the signal; without a time, at the signal. */
  wait(ms?: number): Promise<void>
}

/** The first of these signals ends the wait; a second one ends the process at once. */
export function until(...signals: readonly NodeJS.Signals[]): Until {
  const controller = new AbortController()
  for (const signal of signals) {
    process.once(signal, () => {
      controller.abort()
      process.once(signal, () => process.exit(130))
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
