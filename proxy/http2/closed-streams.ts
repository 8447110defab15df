/** Streams that are no more: what still comes of one may be late, or wrong, by how it ended (RFC 9113 section 5.1). */

/** How many are remembered. */
const remembered = 256

export class ClosedStreams {
  readonly #ids: number[] = []
  #next = 0
  /** Up to here some are forgotten. */
  #horizon = 0

  /** `byUs`: the other end may not know yet. */
  add(id: number, byUs: boolean): void {
    if (this.#ids.length === remembered) this.#horizon = Math.max(this.#horizon, Math.abs(this.#ids[this.#next]!))
    this.#ids[this.#next] = byUs ? id : -id
    this.#next = (this.#next + 1) % remembered
  }

  /** `late`: what comes of it is ignored. `ended`: nothing may come. `never`: it was passed over. */
  of(id: number): 'late' | 'ended' | 'never' {
    if (this.#ids.includes(id)) return 'late'
    if (this.#ids.includes(-id)) return 'ended'
    return id <= this.#horizon ? 'late' : 'never'
  }
}
