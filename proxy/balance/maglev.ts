/** Maglev (Eisenbud et al., NSDI 2016, section 3.4): a table whose places endpoints take in turn, each by its own order. */

import { hash32 } from './hash.ts'

/** Which endpoint a key is of, among those that are able; undefined where none is. */
export type Lookup = (key: string, able: (index: number) => boolean) => number | undefined

/** A prime, well above a hundred times the endpoints that a service mostly has. */
const places = 65_537

/** `names`: of the endpoints, each once. */
export function makeMaglev(names: readonly string[]): Lookup {
  if (names.length === 0) return () => undefined
  const table = new Int32Array(places).fill(-1)
  const turns = names
    .map((name, index) => ({
      index,
      name,
      at: hash32(`offset ${name}`) % places,
      skip: 1 + (hash32(`skip ${name}`) % (places - 1)),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1)) // The order of endpoints says nothing.
  for (let taken = 0; taken < places; ) {
    for (const turn of turns) {
      while (table[turn.at] !== -1) turn.at = (turn.at + turn.skip) % places
      table[turn.at] = turn.index
      if (++taken === places) break
    }
  }
  return (key, able) => {
    const first = hash32(key) % places
    for (let step = 0; step < places; step++) {
      const index = table[(first + step) % places]!
      if (able(index)) return index
    }
    return undefined
  }
}
