/** Times something that is over at once: many times in each of several runs, and one by one for the slow ones. */

export interface Measured {
  /** Decisions in each run. */
  readonly each: number
  /** Microseconds a decision took on average, of each run, in order of size. */
  readonly runs: readonly number[]
  readonly medianUs: number
  /** Of single decisions, timed one by one: what a clock costs is in it. */
  readonly p99Us: number
  readonly singles: number
}

export interface MeasureOptions {
  readonly runs: number
  /** How long a run is to take, in milliseconds. */
  readonly runMs: number
  /** How many are timed one by one. */
  readonly singles: number
  readonly now: () => number
  readonly onRun?: (done: number) => void
}

/** `ask` is warmed up first, for as long as a run takes; a second one tells how many fit into one. */
export function measure(ask: (i: number) => void, { runs, runMs, singles, now, onRun }: MeasureOptions): Measured {
  let count = 0
  const fill = (): number => {
    const before = count
    for (const from = now(); now() - from < runMs; ) ask(count++)
    return count - before
  }
  fill()
  const each = Math.max(1, fill())
  const took: number[] = []
  for (let run = 0; run < runs; run++) {
    const from = now()
    for (let i = 0; i < each; i++) ask(count++)
    took.push(((now() - from) * 1000) / each)
    onRun?.(run + 1)
  }
  const one = new Float64Array(singles)
  for (let i = 0; i < singles; i++) {
    const from = now()
    ask(count++)
    one[i] = (now() - from) * 1000
  }
  one.sort()
  took.sort((a, b) => a - b)
  return { each, runs: took, medianUs: quantile(took, 0.5), p99Us: quantile(one, 0.99), singles }
}

/** The smallest value that this share of the sorted values does not exceed. */
export const quantile = (sorted: ArrayLike<number>, share: number): number =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
