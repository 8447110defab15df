/** Waiting that can be cut short: by somebody who wakes, by time, or by the end of everything. */

import type { RandomBytes } from '../../core/ports.ts'

export interface Pause {
  wake(): void
  /** Resolves when woken (also before it was asked), when the time is over, or when `stop` is aborted. */
  wait(stop: AbortSignal, ms?: number): Promise<void>
}

export function pause(): Pause {
  const { promise, resolve } = Promise.withResolvers<void>()
  return {
    wake: resolve,
    async wait(stop, ms) {
      if (stop.aborted) return
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
      const onStop = () => resolve()
      stop.addEventListener('abort', onStop)
      await promise
      clearTimeout(timer)
      stop.removeEventListener('abort', onStop)
    },
  }
}

/** Doubling time before the next try, between half and whole so that many do not come back at once. */
export function backOff(
  tries: number,
  ms: { readonly first: number; readonly most: number },
  random: RandomBytes,
): number {
  const whole = Math.min(ms.first * 2 ** Math.min(tries, 30), ms.most)
  return whole / 2 + (whole / 2) * (random(1)[0]! / 255)
}
