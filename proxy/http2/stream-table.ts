/**
 * Open streams by number. No Map: where entries come and go, a Map is made anew again and again, and each former table, once
 * V8 has it among old objects, keeps the next alive with all that was in it until all objects are collected. With two
 * of them half of what requests left behind was copied by each young collection.
 */

interface Numbered {
  readonly id: number
}

export class StreamTable<T extends Numbered> {
  /** A power of two places, at most half of them taken. A stream lies in the first free one from its own on. */
  #places: (T | undefined)[] = new Array<T | undefined>(32).fill(undefined)
  size = 0

  get(id: number): T | undefined {
    return this.#places[this.#find(id)]
  }

  add(one: T): void {
    if (2 * (this.size + 1) > this.#places.length) this.#grow()
    const at = this.#find(one.id)
    if (this.#places[at] === undefined) this.size++
    this.#places[at] = one
  }

  /** Whether it was there. */
  delete(id: number): boolean {
    const places = this.#places
    const last = places.length - 1
    let free = this.#find(id)
    if (places[free] === undefined) return false
    this.size--
    // Those behind it that may lie in its place move up, so that none is cut off from where its search begins.
    for (let at = (free + 1) & last; places[at] !== undefined; at = (at + 1) & last) {
      const distance = (at - this.#own(places[at]!.id)) & last
      if (distance < ((at - free) & last)) continue
      places[free] = places[at]
      free = at
    }
    places[free] = undefined
    return true
  }

  all(): T[] {
    return this.#places.filter((one) => one !== undefined)
  }

  clear(): void {
    this.#places.fill(undefined)
    this.size = 0
  }

  /** Numbers of one side are all odd or all even. */
  #own(id: number): number {
    return (id >>> 1) & (this.#places.length - 1)
  }

  /** Where it lies, or would. */
  #find(id: number): number {
    const places = this.#places
    let at = this.#own(id)
    for (let one = places[at]; one !== undefined && one.id !== id; one = places[at]) at = (at + 1) & (places.length - 1)
    return at
  }

  #grow(): void {
    const all = this.all()
    this.#places = new Array<T | undefined>(2 * this.#places.length).fill(undefined)
    for (const one of all) this.#places[this.#find(one.id)] = one
  }
}
