/** Takes an answer that nobody wants, so that its connection can be used again, as long as that costs little. */

import type { Leg, LegUser } from './leg.ts'

/** Bytes of such an answer that are read, and the time that it gets, in milliseconds; then it is broken off. */
const mostBytes = 65_536
const longestMs = 1000

/** The user that reads it. `leg`: of whom it is, once it is there. `over`: called when nothing more comes. */
export function discarding(
  leg: () => Leg | undefined,
  forMs: number = longestMs,
  over: () => void = () => {},
): LegUser {
  let bytesLeft = mostBytes
  let ended = false
  const end = (): void => {
    if (ended) return
    ended = true
    clearTimeout(timer)
    over()
  }
  const breakOff = (): void => {
    leg()?.close()
    end()
  }
  const timer = setTimeout(breakOff, forMs)
  return {
    onReady() {},
    onResponse() {},
    onBody(bytes) {
      bytesLeft -= bytes.length
      if (bytesLeft < 0) queueMicrotask(breakOff) // Not within the leg's own reading.
      return true
    },
    onDrain() {},
    onBodyEnd: end,
    onFailure: end,
  }
}
