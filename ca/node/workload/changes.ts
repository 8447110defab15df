/** Streams of full states: the newest is sent at once and after each change; what was overtaken meanwhile is not sent. */

/** Calls `each` now and after every change, one at a time, until the signal is aborted or `each` throws. */
export async function followChanges(
  subscribe: (changed: () => void) => () => void,
  signal: AbortSignal,
  each: () => Promise<void>,
): Promise<void> {
  let dirty = true
  let wake = (): void => {}
  const changed = (): void => {
    dirty = true
    wake()
  }
  const unsubscribe = subscribe(changed)
  const stopped = (): void => wake()
  signal.addEventListener('abort', stopped)
  try {
    while (!signal.aborted) {
      if (dirty) {
        dirty = false
        await each()
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
          if (dirty || signal.aborted) resolve()
        })
      }
    }
  } finally {
    unsubscribe()
    signal.removeEventListener('abort', stopped)
  }
}
