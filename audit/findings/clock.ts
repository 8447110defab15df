/**
 * Whose clock is off? A record from the future is told at once. One that is old may only have waited in a spool: a clock
 * counts as behind where even the freshest record of its producer is old while those of another one are not.
 */

export interface Lag {
  /** Smallest and largest time from a record to its arrival in a window, in milliseconds; negative is the future. */
  least: number
  most: number
  records: number
}

export interface Skew {
  readonly producer: string
  readonly direction: 'ahead' | 'behind'
  readonly byMs: number
}

/** Fewer records than that in a window are not called behind. */
const minRecords = 5

export function skewsOf(lags: ReadonlyMap<string, Lag>, skewMs: number): readonly Skew[] {
  const punctual = [...lags.values()].filter(({ least }) => least <= skewMs && least >= -skewMs).length
  const skews: Skew[] = []
  for (const [producer, { least, records }] of lags) {
    if (least < -skewMs) skews.push({ producer, direction: 'ahead', byMs: -least })
    else if (least > skewMs && records >= minRecords && punctual > 0) {
      skews.push({ producer, direction: 'behind', byMs: least })
    }
  }
  return skews
}
