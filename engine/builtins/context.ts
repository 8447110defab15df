/** What one evaluation gives its builtins: a time that stands still, and randomness that repeats in a replay. */

import { sha256 } from '@noble/hashes/sha2.js'
import { concat } from '../../core/bytes.ts'
import type { Value } from '../value.ts'
import type { Given } from '../world.ts'
import type { BuiltinContext, BuiltinHost } from './builtin.ts'
import type { PatternCache } from './patterns.ts'

export interface EvaluationContext {
  readonly nowNs: bigint
  /** All randomness follows from these bytes; asked for when it is first drawn. */
  readonly seed: () => Uint8Array
  /** Default: nothing is counted. */
  readonly spend?: (steps: number) => void
  readonly record?: ((name: string, args: readonly Value[], result: Value | undefined) => void) | undefined
  readonly given?: Given | undefined
  /** Called whenever a builtin asks for what a later evaluation of the same input may find changed. */
  readonly asked?: () => void
}

const nothing = (): void => undefined

export function makeContext(
  { nowNs, seed, spend = nothing, record = nothing, given, asked = nothing }: EvaluationContext,
  patterns: PatternCache,
  host: BuiltinHost,
): BuiltinContext {
  const made = new Map<string, unknown>()
  let stream: ((length: number) => Uint8Array) | undefined
  return {
    get nowNs() {
      asked()
      return nowNs
    },
    get host() {
      asked()
      return host
    },
    patterns,
    record,
    given,
    spend,
    random(length) {
      asked()
      stream ??= randomStream(seed())
      return stream(length)
    },
    once<T>(key: string, make: () => T): T {
      if (!made.has(key)) made.set(key, make())
      return made.get(key) as T
    },
  }
}

/** SHA-256 of the seed and a counter, block by block. */
function randomStream(seed: Uint8Array): (length: number) => Uint8Array {
  let counter = 0
  let rest: Uint8Array = new Uint8Array(0)
  return (length) => {
    while (rest.length < length) {
      const count = new Uint8Array(4)
      new DataView(count.buffer).setUint32(0, counter++)
      rest = concat(rest, sha256(concat(seed, count)))
    }
    const drawn = rest.slice(0, length)
    rest = rest.subarray(length)
    return drawn
  }
}
