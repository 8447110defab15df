/**
 * What is gathered, in containers whose parts can be added up: whatever order records come in, and wherever a log is cut,
 * the sum is the same. Each can be written down and read again.
 */

import type { LeafPlace } from '../../../core/compliance.ts'
import { isObject, type Json } from '../../../core/json.ts'

export interface Held {
  save(): Json
  /** Adds what another one saved. That one stands behind this one in the log. */
  merge(saved: Json): void
}

/** A `LeafPlace` that is JSON by its type, too. */
export type Place = { readonly shard: number; readonly index: number }

export const isBefore = (a: LeafPlace, b: LeafPlace): boolean =>
  a.shard < b.shard || (a.shard === b.shard && a.index < b.index)

export const firstOf = <T extends { readonly at: LeafPlace }>(a: T, b: T): T => (isBefore(b.at, a.at) ? b : a)
export const lastOf = <T extends { readonly at: LeafPlace }>(a: T, b: T): T => (isBefore(a.at, b.at) ? b : a)

/** Numbers by name. */
export class Sums<Name extends string> implements Held {
  readonly of: { [name in Name]: number }

  constructor(names: readonly Name[]) {
    this.of = Object.fromEntries(names.map((name) => [name, 0])) as { [name in Name]: number }
  }

  save(): Json {
    return { ...this.of }
  }

  merge(saved: Json): void {
    if (!isObject(saved)) return
    for (const name of Object.keys(this.of) as Name[]) this.of[name] += Number(saved[name] ?? 0)
  }
}

/** One value by name; of two, what `join` makes of them. More names than `max` are not held, and it is not `whole`. */
export class Dict<Value extends Json> implements Held {
  readonly map: Map<string, Value> = new Map<string, Value>()
  whole: boolean = true
  readonly #join: (a: Value, b: Value) => Value
  readonly #max: number

  constructor(join: (a: Value, b: Value) => Value, max: number) {
    this.#join = join
    this.#max = max
  }

  add(name: string, value: Value): void {
    const known = this.map.get(name)
    if (known !== undefined) this.map.set(name, this.#join(known, value))
    else if (this.map.size < this.#max) this.map.set(name, value)
    else this.whole = false
  }

  save(): Json {
    return { whole: this.whole, map: [...this.map].sort(([a], [b]) => (a < b ? -1 : 1)) as unknown as Json }
  }

  merge(saved: Json): void {
    const { whole, map } = saved as unknown as { readonly whole: boolean; readonly map: readonly [string, Value][] }
    for (const [name, value] of map) this.add(name, value)
    this.whole &&= whole
  }
}

/** A set of names. */
export const names = (max: number): Dict<1> => new Dict<1>(() => 1, max)

/** Subjects of one tally in memory; past it the less frequent half is counted together. */
const maxSubjects = 10_000
/** Those that a report names. */
const maxNamed = 1000

/** Whom so many are about. */
export class Subjects {
  readonly map: Map<string, number> = new Map<string, number>()
  other: number = 0

  add(name: string, count: number): void {
    this.map.set(name, (this.map.get(name) ?? 0) + count)
  }

  /** The most frequent first, then by name. */
  sorted(): [string, number][] {
    return [...this.map].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  }

  /** After a part was added: what is held of all parts is bounded. */
  bound(): void {
    if (this.map.size <= maxSubjects) return
    for (const [name, count] of this.sorted().slice(maxSubjects / 2)) {
      this.map.delete(name)
      this.other += count
    }
  }

  finish(): Pick<Drawable, 'subjects' | 'otherSubjects'> {
    const sorted = this.sorted()
    const others = sorted.slice(maxNamed).reduce((sum, [, count]) => sum + count, this.other)
    return { subjects: sorted.slice(0, maxNamed).map(([name, count]) => ({ name, count })), otherSubjects: others }
  }
}

/** So many, whom they are about, and where they are, of which some are drawn. */
export interface Drawable {
  readonly count: number
  readonly subjects: readonly { readonly name: string; readonly count: number }[]
  readonly otherSubjects: number
  /** In the order of the log. */
  readonly places: readonly LeafPlace[]
  /** How many of them are drawn. */
  readonly size: number
}

export const sampleSize = 5

/** Places of one list; past it every second of them is let go, by a number that is made of the place alone. */
const maxPlaces = 4096

/** Records of a kind that is rare, one by one. */
export class Listed implements Held {
  count: number = 0
  readonly #size: number
  readonly #subjects = new Subjects()
  #places: LeafPlace[] = []
  #mask = 0

  constructor(size: number = sampleSize) {
    this.#size = size
  }

  add({ shard, index }: LeafPlace, subject: string, count: number = 1): void {
    this.count += count
    this.#subjects.add(subject, count)
    this.#keep({ shard, index })
  }

  #keep(place: LeafPlace): void {
    if ((mixed(place) & this.#mask) !== 0) return
    this.#places.push(place)
    while (this.#places.length > maxPlaces) {
      this.#mask = 2 * this.#mask + 1
      this.#places = this.#places.filter((one) => (mixed(one) & this.#mask) === 0)
    }
  }

  save(): Json {
    return {
      ...{ count: this.count, mask: this.#mask, other: this.#subjects.other },
      subjects: this.#subjects.sorted() as unknown as Json,
      places: this.#places.map(({ shard, index }) => [shard, index]),
    }
  }

  merge(saved: Json): void {
    const { count, mask, other, subjects, places } = saved as unknown as {
      readonly count: number
      readonly mask: number
      readonly other: number
      readonly subjects: readonly [string, number][]
      readonly places: readonly [number, number][]
    }
    this.count += count
    this.#subjects.other += other
    for (const [name, of] of subjects) this.#subjects.add(name, of)
    this.#subjects.bound()
    if (mask > this.#mask) this.#mask = mask
    this.#places = this.#places.filter((one) => (mixed(one) & this.#mask) === 0)
    for (const [shard, index] of places) this.#keep({ shard, index })
  }

  copy(): Listed {
    const copy = new Listed(this.#size)
    copy.merge(this.save())
    return copy
  }

  finish(): Drawable {
    const places = [...this.#places].sort((a, b) => (isBefore(a, b) ? -1 : 1))
    return { count: this.count, ...this.#subjects.finish(), places, size: this.#size }
  }
}

/** The finalizer of MurmurHash3: neighbours get numbers that are nothing alike. */
function mixed({ shard, index }: LeafPlace): number {
  let n = (index + Math.imul(shard + 1, 0x9e3779b1)) | 0
  n = Math.imul(n ^ (n >>> 16), 0x85ebca6b)
  n = Math.imul(n ^ (n >>> 13), 0xc2b2ae35)
  return (n ^ (n >>> 16)) >>> 0
}
