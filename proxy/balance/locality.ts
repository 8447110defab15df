/**
 * Near endpoints before far ones. Endpoints stand in levels by how much of their locality is that of who asks: the same
 * zone, the same region, elsewhere. A level takes all requests while it is well enough, and hands on what it lacks.
 */

import type { Member } from './member.ts'

/** Envoy's overproviding factor: a level of which 5 of 7 are able takes everything, since 5/7 × 1.4 is the whole. */
const spare = 1.4

/** How many steps two localities share from the front: `eu/a` and `eu/b` share one. */
export function nearness(from: string, to: string | undefined): number {
  if (to === undefined) return 0
  const [own, other] = [from.split('/'), to.split('/')]
  const differs = own.findIndex((step, at) => step !== other[at])
  return differs < 0 ? own.length : differs
}

/** The nearest first. Undefined where all are as near as each other. */
export function levelsFrom(from: string, members: readonly Member[]): readonly (readonly Member[])[] | undefined {
  const levels = new Map<number, Member[]>()
  for (const member of members) {
    const near = nearness(from, member.endpoint.locality)
    const level = levels.get(near)
    if (level) level.push(member)
    else levels.set(near, [member])
  }
  if (levels.size < 2) return undefined
  return [...levels].sort(([a], [b]) => b - a).map(([, level]) => level)
}

/**
 * Of the members that are able, those of the level that takes this request. Each level takes 1.4 times the share of its
 * members that are able, up to the whole of what nearer ones leave; where that is less than all, each in proportion.
 * `point`: a number from 0 up to 1. `able` has one member at least, and so has the answer.
 */
export function nearestOf(
  levels: readonly (readonly Member[])[],
  able: ReadonlySet<Member>,
  point: () => number,
): readonly Member[] {
  const well = levels.map((level) => level.filter((member) => able.has(member)))
  const first = well[0]!
  if (first.length * spare >= levels[0]!.length) return first
  let left = 1
  const shares = well.map((level, at) => {
    const share = Math.min(left, (level.length / levels[at]!.length) * spare)
    left -= share
    return share
  })
  let rest = point() * (1 - left)
  for (const [at, level] of well.entries()) {
    if (level.length > 0 && rest < shares[at]!) return level
    rest -= shares[at]!
  }
  return well.findLast((level) => level.length > 0)!
}
