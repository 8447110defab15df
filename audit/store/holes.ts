/** Ranges of numbers that did not arrive, and what becomes of them when some do. */

import type { GapRow } from './schema.ts'

/** An open gap with the numbers that this batch brought. */
export interface Hole {
  readonly first: number
  readonly last: number
  readonly openedIndex: number
  /** Whether the store has a row of it already. */
  readonly stored: boolean
  readonly filled: Set<number>
}

/** The hole that `seq` falls into and has not filled yet. `holes` are in order and never overlap. */
export function holeAt(holes: readonly Hole[], seq: number): Hole | undefined {
  let low = 0
  let high = holes.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holes[middle]!.last < seq) low = middle + 1
    else high = middle
  }
  const hole = holes[low]
  return hole && hole.first <= seq && !hole.filled.has(seq) ? hole : undefined
}

export interface Range {
  readonly first: number
  readonly last: number
}

/** The filled numbers of a hole as ranges, in order. */
export function filledRanges(hole: Hole): readonly Range[] {
  const ranges: { first: number; last: number }[] = []
  for (const seq of [...hole.filled].sort((a, b) => a - b)) {
    const range = ranges.at(-1)
    if (range && range.last === seq - 1) range.last = seq
    else ranges.push({ first: seq, last: seq })
  }
  return ranges
}

/** The rows that stand for a hole now: what is still open, and what `closed` says was closed at which leaf. */
export function rowsOf(epoch: string, hole: Hole, closed: readonly (Range & { readonly index: number })[]): GapRow[] {
  const rows: GapRow[] = []
  const { openedIndex } = hole
  let next = hole.first
  for (const { first, last, index } of closed) {
    if (first > next) rows.push({ epoch, first: next, last: first - 1, openedIndex, closedIndex: null })
    rows.push({ epoch, first, last, openedIndex, closedIndex: index })
    next = last + 1
  }
  if (next <= hole.last) rows.push({ epoch, first: next, last: hole.last, openedIndex, closedIndex: null })
  return rows
}
