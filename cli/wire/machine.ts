/** The world as parts receive it: clock, randomness, hashing. */

import { hash, randomBytes as nodeRandomBytes } from 'node:crypto'
import type { NowNs, RandomBytes, Sha256 } from '../../core/ports.ts'

/** Wall clock that never goes back: the time now plus the monotonic time since; it follows steps forward only. */
export function openClock(): NowNs {
  let offset = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint()
  return () => {
    const monotonic = process.hrtime.bigint()
    const ahead = BigInt(Date.now()) * 1_000_000n - (monotonic + offset)
    if (ahead > 1_000_000_000n) offset += ahead // A laptop that slept.
    return monotonic + offset
  }
}

export const random: RandomBytes = (length) => nodeRandomBytes(length)

export const sha256: Sha256 = (bytes) => hash('sha256', bytes, 'buffer')
