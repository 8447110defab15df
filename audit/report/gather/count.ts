/** So many, whom they are about, and a sample that everybody who has the seed draws alike. */

import type { LeafPlace, Tally } from '../../../core/compliance.ts'

/** Subjects of one tally; the rest are counted together. */
const maxSubjects = 1000
export const sampleSize = 5

/** The first eight bytes of the leaf's hash, each XOR that of the seed: the smallest are drawn. */
export type DrawKey = readonly [number, number]

export function drawKey(seed: string, hash: Uint8Array): DrawKey {
  const of = (at: number) => Number.parseInt(seed.slice(2 * at, 2 * at + 8), 16)
  const word = (at: number) => (hash[at]! << 24) | (hash[at + 1]! << 16) | (hash[at + 2]! << 8) | hash[at + 3]!
  return [(word(0) ^ of(0)) >>> 0, (word(4) ^ of(4)) >>> 0]
}

const less = (a: DrawKey, b: DrawKey): boolean => a[0] < b[0] || (a[0] === b[0] && a[1] < b[1])

export class Count {
  count = 0
  #other = 0
  readonly #size: number
  readonly #subjects = new Map<string, number>()
  #drawn: { readonly key: DrawKey; readonly at: LeafPlace }[] = []

  constructor(size: number = sampleSize) {
    this.#size = size
  }

  add(key: DrawKey, at: LeafPlace, subject: string): void {
    this.count++
    const known = this.#subjects.get(subject)
    if (known !== undefined || this.#subjects.size < maxSubjects) this.#subjects.set(subject, (known ?? 0) + 1)
    else this.#other++
    const last = this.#drawn[this.#size - 1]
    if (last && !less(key, last.key)) return
    this.#drawn.push({ key, at: { shard: at.shard, index: at.index } })
    this.#drawn.sort((a, b) => (less(a.key, b.key) ? -1 : 1))
    if (this.#drawn.length > this.#size) this.#drawn.pop()
  }

  /** One that goes on by itself. */
  copy(): Count {
    const copy = new Count(this.#size)
    copy.count = this.count
    copy.#other = this.#other
    for (const [name, count] of this.#subjects) copy.#subjects.set(name, count)
    copy.#drawn = [...this.#drawn]
    return copy
  }

  finish(): Tally {
    const subjects = [...this.#subjects].map(([name, count]) => ({ name, count }))
    subjects.sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1))
    const sample = this.#drawn.map(({ at }) => at).sort((a, b) => a.shard - b.shard || a.index - b.index)
    return { count: this.count, sample, subjects, otherSubjects: this.#other }
  }
}
