/**
 * Stretches: unbroken runs of one epoch's numbers. Whatever order records come in, an epoch without loss ends as one
 * stretch from 0. What is kept of a stretch is its two ends, so that memory does not grow with the log.
 */

export interface Totals {
  readonly allow: number
  readonly deny: number
  readonly fault: number
  /** Decisions without a record, that their producer counted. Left out where there are none. */
  readonly suppressed?: number
  /** Decisions that their policy's drop rule left out, that their producer counted. Left out where there are none. */
  readonly dropped?: number
}

export const totals = (allow: number, deny: number, fault: number, suppressed: number, dropped: number): Totals => ({
  ...{ allow, deny, fault },
  ...(suppressed !== 0 && { suppressed }),
  ...(dropped !== 0 && { dropped }),
})

export const noTotals: Totals = totals(0, 0, 0, 0, 0)

export const plus = (a: Totals, b: Totals): Totals => added(a, b, 1)

export const minus = (a: Totals, b: Totals): Totals => added(a, b, -1)

function added(a: Totals, b: Totals, sign: 1 | -1): Totals {
  const sum = { allow: a.allow + sign * b.allow, deny: a.deny + sign * b.deny, fault: a.fault + sign * b.fault }
  const suppressed = (a.suppressed ?? 0) + sign * (b.suppressed ?? 0)
  const dropped = (a.dropped ?? 0) + sign * (b.dropped ?? 0)
  return suppressed === 0 && dropped === 0 ? sum : totals(sum.allow, sum.deny, sum.fault, suppressed, dropped)
}

export const sameTotals = (a: Totals, b: Totals): boolean =>
  a.allow === b.allow &&
  a.deny === b.deny &&
  a.fault === b.fault &&
  a.suppressed === b.suppressed &&
  a.dropped === b.dropped

export interface Stretch {
  first: number
  last: number
  readonly firstIndex: number
  readonly firstPrev: string
  lastHash: string
  /** Decisions within. */
  totals: Totals
  /** Decisions before `first`, as the stretch's own heads have it; undefined while it has none. */
  before: Totals | undefined
  /** Leaf index of the head that said so. */
  beforeIndex: number
  /** Number of the last head in it that was proven, -1 while there is none. */
  proven: number
  /** Leaf index and time of the first record after `proven`, -1 and empty where there is none. */
  tailIndex: number
  tailAt: string
}

export interface Placed {
  readonly seq: number
  readonly prev: string
  readonly hash: string
  readonly index: number
  readonly at: string
  readonly totals: Totals
}

/** What placing a record, or joining two stretches, showed to be wrong. */
export type Misfit =
  | { readonly what: 'repeated' }
  | { readonly what: 'chain'; readonly seq: number }
  | { readonly what: 'totals'; readonly index: number; readonly said: Totals; readonly counted: Totals }

/** Places one record; returns its stretch as it stands before it is joined with the next one. */
export function place(
  stretches: Stretch[],
  record: Placed,
): { readonly stretch: Stretch | undefined; readonly at: number; readonly misfits: readonly Misfit[] } {
  let at = stretches.length - 1 // Records nearly always come in order, at the end.
  while (at >= 0 && stretches[at]!.first > record.seq) at--
  const left = stretches[at]
  if (left && record.seq <= left.last) return { stretch: undefined, at, misfits: [{ what: 'repeated' }] }
  if (left && record.seq === left.last + 1) {
    const chained = left.lastHash === record.prev
    left.last = record.seq
    left.lastHash = record.hash
    left.totals = plus(left.totals, record.totals)
    if (left.tailIndex < 0) {
      left.tailIndex = record.index
      left.tailAt = record.at
    }
    return { stretch: left, at, misfits: chained ? [] : [{ what: 'chain', seq: record.seq }] }
  }
  const stretch: Stretch = {
    first: record.seq,
    last: record.seq,
    firstIndex: record.index,
    firstPrev: record.prev,
    lastHash: record.hash,
    totals: record.totals,
    before: record.seq === 0 ? noTotals : undefined,
    beforeIndex: record.index,
    proven: -1,
    tailIndex: record.index,
    tailAt: record.at,
  }
  stretches.splice(at + 1, 0, stretch)
  return { stretch, at: at + 1, misfits: [] }
}

/** What a head claims of all decisions before it, given those counted in its own stretch. */
export function claim(stretch: Stretch, said: Totals, withinBefore: Totals, index: number): readonly Misfit[] {
  const before = minus(said, withinBefore)
  if (stretch.before !== undefined) {
    if (sameTotals(before, stretch.before)) return []
    return [{ what: 'totals', index, said, counted: plus(stretch.before, withinBefore) }]
  }
  stretch.before = before
  stretch.beforeIndex = index
  return []
}

/** Joins a stretch with the one after it where they meet. */
export function join(stretches: Stretch[], at: number): readonly Misfit[] {
  const left = stretches[at]
  const right = stretches[at + 1]
  if (!left || !right || left.last + 1 !== right.first) return []
  const misfits: Misfit[] = []
  if (left.lastHash !== right.firstPrev) misfits.push({ what: 'chain', seq: right.first })
  if (right.before !== undefined) misfits.push(...claim(left, right.before, left.totals, right.beforeIndex))
  left.last = right.last
  left.lastHash = right.lastHash
  left.totals = plus(left.totals, right.totals)
  if (right.proven >= 0) {
    left.proven = right.proven
    left.tailIndex = right.tailIndex
    left.tailAt = right.tailAt
  } else if (left.tailIndex < 0) {
    left.tailIndex = right.tailIndex // Nothing in it is proven, so its tail is all of it.
    left.tailAt = right.tailAt
  }
  stretches.splice(at + 1, 1)
  return misfits
}

/** A head at `seq` was proven: everything before it in its stretch is its producer's word. */
export function prove(stretch: Stretch, seq: number): void {
  if (seq <= stretch.proven) return
  stretch.proven = seq
  if (seq < stretch.last) return
  stretch.tailIndex = -1
  stretch.tailAt = ''
}
