/** Chance that can be had again: the same seed, the same numbers. */

export interface Random {
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number
  /** Whether one in `of` holds. */
  oneIn(of: number): boolean
  pick<T>(from: readonly T[]): T
}

/** mulberry32, by Tommy Ettinger's description: 32 bits of state are enough to choose by. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (limit: number): number => next() % limit
  return { below, oneIn: (of) => below(of) === 0, pick: (from) => from[below(from.length)]! }
}
