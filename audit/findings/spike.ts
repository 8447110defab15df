/** Is this hour's count of denials far above what is usual at this hour of the week? Median and MAD: one bad day moves neither. */

const hour = 3_600_000
const week = 168

/** Fewer hours than that say nothing of what is usual. */
const minSameHours = 6
const minHours = 24

export interface SpikeRules {
  readonly minDenials: number
  readonly spikeFactor: number
}

export interface Spike {
  readonly median: number
  readonly mad: number
  /** The count from which on it is one. */
  readonly threshold: number
  /** Hours that it was judged by, and whether they are those of the same hour of the week. */
  readonly hours: number
  readonly seasonal: boolean
}

/**
 * `counts` holds denials by hour, in hours since 1970; an hour that is not in it had none. `firstHour` is the first that
 * anything is known of. Undefined where it is none, or where too little is known to say.
 */
export function spikeAt(
  nowHour: number,
  count: number,
  counts: ReadonlyMap<number, number>,
  firstHour: number,
  { minDenials, spikeFactor }: SpikeRules,
): Spike | undefined {
  if (count < minDenials) return undefined
  const same: number[] = []
  for (let weeks = 1; weeks <= 4; weeks++) {
    for (let off = -1; off <= 1; off++) {
      const at = nowHour - weeks * week + off
      if (at >= firstHour) same.push(counts.get(at) ?? 0)
    }
  }
  const seasonal = same.length >= minSameHours
  const samples = seasonal ? same : lastHours(nowHour, counts, firstHour)
  if (samples.length < (seasonal ? minSameHours : minHours)) return undefined
  const median = medianOf(samples)
  const mad = medianOf(samples.map((sample) => Math.abs(sample - median)))
  // A caller that is never denied has no deviation: one denial more would be infinitely many deviations above it.
  const threshold = Math.max(minDenials, Math.ceil(median + spikeFactor * 1.4826 * Math.max(mad, 1)))
  return count >= threshold ? { median, mad, threshold, hours: samples.length, seasonal } : undefined
}

function lastHours(nowHour: number, counts: ReadonlyMap<number, number>, firstHour: number): number[] {
  const samples: number[] = []
  for (let at = Math.max(firstHour, nowHour - week); at < nowHour; at++) samples.push(counts.get(at) ?? 0)
  return samples
}

export const hourOf = (ms: number): number => Math.floor(ms / hour)

export function medianOf(numbers: readonly number[]): number {
  if (numbers.length === 0) return 0
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
