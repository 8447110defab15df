/** Chance from a seed: what it chose, the same seed chooses again. */

export interface Chance {
  /** From 0 up to 1. */
  next(): number
  /** A whole number from 0 up to, and without, `limit`. */
  below(limit: number): number
  /** True so often. */
  one(probability: number): boolean
  /** A number between the two. */
  between(least: number, most: number): number
  /** Another source of chance, which this one's further use does not change. */
  fork(): Chance
}

/** mulberry32: 32 bits of state are plenty for a schedule. */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    below: (limit) => Math.floor(next() * limit),
    one: (probability) => next() < probability,
    between: (least, most) => least + next() * (most - least),
    fork: () => chanceOf(Math.floor(next() * 2 ** 32)),
  }
}
