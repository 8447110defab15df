/** Sums up a replay in bounded memory, however many decisions go by. */

import type { Example, FlipGroup, Impact, Obstacle, Unreplayed } from './impact.ts'

export interface TallyLimits {
  /** Groups of flips that are kept apart; flips of further ones are only counted. Default 2048. */
  readonly groups?: number
  /** Examples of each group. Default 3. */
  readonly examples?: number
}

/** Kinds of obstacles and revisions are few; a log that somebody else filled must not make them many. */
const maxKinds = 256
const others = 'others'

type Flip = Omit<FlipGroup, 'count' | 'examples'>

export class Tally {
  readonly #maxGroups: number
  readonly #maxExamples: number
  readonly #groups = new Map<string, { readonly flip: Flip; count: number; readonly examples: Example[] }>()
  readonly #unreplayed = new Map<string, { readonly obstacle: Obstacle; what: string; count: number; ids: Example[] }>()
  readonly #revisions = new Map<string, number>()
  #decisions = 0
  #unreplayedCount = 0
  #flips = 0
  #omitted = 0
  #oldest: string | null = null
  #newest: string | null = null
  readonly passedOver = { byProxy: 0, byOthers: 0, shadow: 0 }

  constructor({ groups = 2048, examples = 3 }: TallyLimits) {
    this.#maxGroups = groups
    this.#maxExamples = examples
  }

  decision(revision: string, time: string): void {
    this.#decisions++
    const known = this.#revisions.has(revision) || this.#revisions.size < maxKinds
    const key = known ? revision : others
    this.#revisions.set(key, (this.#revisions.get(key) ?? 0) + 1)
    if (this.#oldest === null || time < this.#oldest) this.#oldest = time
    if (this.#newest === null || time > this.#newest) this.#newest = time
  }

  flip(flip: Flip, example: Example): void {
    this.#flips++
    const key = JSON.stringify(Object.values(flip))
    let group = this.#groups.get(key)
    if (!group) {
      if (this.#groups.size >= this.#maxGroups) {
        this.#omitted++
        return
      }
      group = { flip, count: 0, examples: [] }
      this.#groups.set(key, group)
    }
    group.count++
    keepNewest(group.examples, example, this.#maxExamples)
  }

  unreplayed(obstacle: Obstacle, what: string, id: string, time: string): void {
    this.#unreplayedCount++
    const known = this.#unreplayed.has(`${obstacle} ${what}`) || this.#unreplayed.size < maxKinds
    const key = known ? `${obstacle} ${what}` : `${obstacle} ${others}`
    let kind = this.#unreplayed.get(key)
    if (!kind) {
      kind = { obstacle, what: known ? what : others, count: 0, ids: [] }
      this.#unreplayed.set(key, kind)
    }
    kind.count++
    keepNewest(kind.ids, { id, time, reasons: [] }, this.#maxExamples)
  }

  finish(): Omit<Impact, 'candidate'> {
    return {
      decisions: this.#decisions,
      replayed: this.#decisions - this.#unreplayedCount,
      flips: this.#flips,
      groups: [...this.#groups.values()]
        .map(({ flip, count, examples }): FlipGroup => ({ ...flip, count, examples }))
        .sort((a, b) => b.count - a.count || (b.examples[0]?.time ?? '').localeCompare(a.examples[0]?.time ?? '')),
      omitted: this.#omitted,
      unreplayed: [...this.#unreplayed.values()]
        .map(({ obstacle, what, count, ids }): Unreplayed => ({ obstacle, what, count, examples: ids.map(idOf) }))
        .sort((a, b) => b.count - a.count),
      passedOver: { ...this.passedOver },
      revisions: [...this.#revisions]
        .map(([revision, decisions]) => ({ revision, decisions }))
        .sort((a, b) => b.decisions - a.decisions),
      oldest: this.#oldest,
      newest: this.#newest,
    }
  }
}

const idOf = ({ id }: Example): string => id

/** Entries may come in any order, for shards are read one after the other. */
function keepNewest(list: Example[], example: Example, max: number): void {
  const at = list.findIndex(({ time }) => time < example.time)
  if (at < 0 && list.length >= max) return
  list.splice(at < 0 ? list.length : at, 0, example)
  if (list.length > max) list.pop()
}
