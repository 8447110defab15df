/** The first bytes of a body, kept so that they can be judged and then sent on. */

export class Gathered {
  readonly #enough: number
  #bytes: Uint8Array
  #length = 0

  /** `expected` is how many may come; what comes is kept in any case. */
  constructor(enough: number, expected: number) {
    this.#enough = enough
    this.#bytes = new Uint8Array(Math.min(enough, expected))
  }

  get full(): boolean {
    return this.#length >= this.#enough
  }

  /** All of it, also what came beyond what was enough. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** A copy: bytes that come one by one must not each hold a buffer of their own. */
  add(bytes: Uint8Array): void {
    const needed = this.#length + bytes.length
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length))
      larger.set(this.bytes)
      this.#bytes = larger
    }
    this.#bytes.set(bytes, this.#length)
    this.#length = needed
  }
}
