/** What a process of the soak holds, and whether that stays where it is: the line through its samples. */

export interface Memory {
  /** After a full collection, in bytes. */
  readonly heap: number
  /** Held outside of it by what is in it. */
  readonly outside: number
  readonly resident: number
}

export interface Sample extends Memory {
  readonly atMs: number
}

/** Of this process, which runs with `--expose-gc`. */
export function weigh(): Memory {
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed, outside: external, resident: rss }
}

/** Growth per minute by least squares, in the samples' unit. */
export function slope(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const n = samples.length
  const x = samples.map(({ atMs }) => atMs / 60_000)
  const y = samples.map(of)
  const meanX = x.reduce((sum, value) => sum + value, 0) / n
  const meanY = y.reduce((sum, value) => sum + value, 0) / n
  let over = 0
  let under = 0
  for (let i = 0; i < n; i++) {
    over += (x[i]! - meanX) * (y[i]! - meanY)
    under += (x[i]! - meanX) ** 2
  }
  return under === 0 ? 0 : over / under
}
