/** Ring hash: each endpoint stands at many points of a circle, and a key is of the next point. Who leaves moves its own keys alone. */

import { hash32 } from './hash.ts'
import type { Lookup } from './maglev.ts'

/** Points of one endpoint. More make the shares more even. */
const pointsEach = 256

/** `names`: of the endpoints, each once. */
export function makeRing(names: readonly string[]): Lookup {
  const points = names
    .flatMap((name, index) => Array.from({ length: pointsEach }, (_, at) => ({ at: hash32(`${at} ${name}`), index })))
    // Two at one point: the name decides, so that the order of endpoints does not.
    .sort((a, b) => a.at - b.at || (names[a.index]! < names[b.index]! ? -1 : 1))
  return (key, able) => {
    const first = firstFrom(points, hash32(key))
    for (let step = 0; step < points.length; step++) {
      const { index } = points[(first + step) % points.length]!
      if (able(index)) return index
    }
    return undefined
  }
}

/** Index of the first point at `hash` or behind it; past the last, there is the first again. */
function firstFrom(points: readonly { readonly at: number }[], hash: number): number {
  let [low, high] = [0, points.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (points[middle]!.at < hash) low = middle + 1
    else high = middle
  }
  return low
}
