/** Numbers that the auditor says are missing: disjoint ranges in order. */

export interface Range {
  readonly first: number
  readonly last: number
}

export function addRange(ranges: readonly Range[], added: Range): readonly Range[] {
  let { first, last } = added
  const rest: Range[] = []
  for (const range of ranges) {
    if (range.last + 1 < first || range.first > last + 1) rest.push(range)
    else {
      first = Math.min(first, range.first)
      last = Math.max(last, range.last)
    }
  }
  return [...rest, { first, last }].sort((a, b) => a.first - b.first)
}

export function removeRange(ranges: readonly Range[], removed: Range): readonly Range[] {
  return ranges.flatMap((range) => {
    if (removed.last < range.first || removed.first > range.last) return [range]
    const parts: Range[] = []
    if (range.first < removed.first) parts.push({ first: range.first, last: removed.first - 1 })
    if (range.last > removed.last) parts.push({ first: removed.last + 1, last: range.last })
    return parts
  })
}

export const sizeOf = (ranges: readonly Range[]): number =>
  ranges.reduce((sum, range) => sum + range.last - range.first + 1, 0)

/** What of `ranges` lies in none of `others`. */
export const outside = (ranges: readonly Range[], others: readonly Range[]): readonly Range[] =>
  others.reduce<readonly Range[]>((left, other) => removeRange(left, other), ranges)
