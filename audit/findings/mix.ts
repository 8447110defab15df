/** How far apart are two mixes of operations? Jensen-Shannon divergence in bits: 0 for the same, 1 for nothing in common. */

export type Mix = ReadonlyMap<string, number>

export function divergence(a: Mix, b: Mix): number {
  const sumA = sumOf(a)
  const sumB = sumOf(b)
  if (sumA === 0 || sumB === 0) return 0
  let bits = 0
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const p = (a.get(name) ?? 0) / sumA
    const q = (b.get(name) ?? 0) / sumB
    const middle = (p + q) / 2
    if (p > 0) bits += (p * Math.log2(p / middle)) / 2
    if (q > 0) bits += (q * Math.log2(q / middle)) / 2
  }
  return Math.min(1, Math.max(0, bits)) // Rounding leaves it a hair outside.
}

export interface MixRules {
  readonly minMix: number
  readonly mixDistance: number
}

export interface Moved {
  readonly distance: number
  /** Share of today less share of before, of those that moved most. */
  readonly movers: readonly { readonly operation: string; readonly share: number; readonly before: number }[]
}

/** Fewer days than that are no habit. */
const minDays = 3
const maxMovers = 5

/**
 * Undefined where it has not moved, or where there is too little to judge by: few requests make any mix look new, so
 * both sides need as many as the rules say and ten for each operation.
 */
export function movedMix(today: Mix, before: Mix, days: number, { minMix, mixDistance }: MixRules): Moved | undefined {
  if (days < minDays || !enough(today, minMix) || !enough(before, minMix)) return undefined
  const distance = divergence(today, before)
  if (distance < mixDistance) return undefined
  const sums = [sumOf(today), sumOf(before)] as const
  const movers = [...new Set([...today.keys(), ...before.keys()])]
    .map((operation) => ({
      operation,
      share: (today.get(operation) ?? 0) / sums[0],
      before: (before.get(operation) ?? 0) / sums[1],
    }))
    .toSorted((a, b) => Math.abs(b.share - b.before) - Math.abs(a.share - a.before))
    .slice(0, maxMovers)
  return { distance, movers }
}

const enough = (mix: Mix, least: number): boolean => sumOf(mix) >= Math.max(least, 10 * mix.size)

const sumOf = (mix: Mix): number => {
  let sum = 0
  for (const count of mix.values()) sum += count
  return sum
}
