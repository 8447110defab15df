/** Group commit: one sync answers everybody who wrote before it began, and runs off the request path. */

export interface SyncGroup {
  /** Something was written: it is synced within the interval. */
  touched(): void
  /** Resolves once what was written up to `point` is synced. Urgent ones start a sync at once. */
  wait(point: number, urgent: boolean): Promise<void>
  /** Rejects all who wait. */
  fail(reason: Error): void
  /** Resolves when no sync is running, and starts none any more. */
  stop(): Promise<void>
}

/** `work` syncs all that was written before it was called and resolves with that point. */
export function syncGroup(everyMs: number, work: () => Promise<number>, failed: (thrown: unknown) => Error): SyncGroup {
  let waiting: { point: number; resolve: () => void; reject: (reason: Error) => void }[] = []
  let running: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let hurry = false
  let again = false
  let stopped = false

  const fail = (reason: Error): void => {
    const all = waiting
    waiting = []
    for (const { reject } of all) reject(reason)
  }
  const run = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    hurry = again = false
    try {
      const point = await work()
      const done = waiting.filter((waiter) => waiter.point <= point)
      waiting = waiting.filter((waiter) => waiter.point > point)
      for (const { resolve } of done) resolve()
    } catch (thrown) {
      fail(failed(thrown))
    }
    running = undefined
    if (hurry) start()
    else if (again) arm()
  }
  const start = (): void => {
    hurry = true
    if (!running && !stopped) running = run()
  }
  const arm = (): void => {
    again = true
    if (!timer && !running && !stopped) timer = setTimeout(start, everyMs)
  }
  return {
    touched: arm,
    wait(point, urgent) {
      const promise = new Promise<void>((resolve, reject) => waiting.push({ point, resolve, reject }))
      if (urgent) start()
      else arm()
      return promise
    },
    fail,
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
