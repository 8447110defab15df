/** Bytes that wait, first in, first out. Small pieces are gathered, so that many of them cost no more than their bytes. */

/** Pieces below it are copied; larger ones are kept as they came. */
const small = 2048
const tailBytes = 16_384

export class ByteQueue {
  #pieces: Uint8Array[] = []
  /** The last piece has room behind it, up to here. */
  #tail: Uint8Array | undefined
  #tailUsed = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#length += bytes.length
    // What is alone is kept as it came; only what goes on coming is worth a copy.
    if (bytes.length >= small || this.#length === bytes.length) {
      this.#settle()
      this.#pieces.push(bytes)
      return
    }
    if (this.#tail && this.#tail.length - this.#tailUsed < bytes.length) this.#settle()
    if (!this.#tail) {
      this.#tail = new Uint8Array(this.#pieces.length === 1 ? small : tailBytes)
      this.#tailUsed = 0
    }
    this.#tail.set(bytes, this.#tailUsed)
    this.#tailUsed += bytes.length
  }

  #settle(): void {
    if (this.#tail) this.#pieces.push(this.#tail.subarray(0, this.#tailUsed))
    this.#tail = undefined
  }

  /** The first bytes, at most so many; undefined where there are none. */
  take(most: number): Uint8Array | undefined {
    if (this.#pieces.length === 0) this.#settle()
    const first = this.#pieces[0]
    if (!first || most <= 0) return undefined
    const taken = first.length <= most ? first : first.subarray(0, most)
    if (taken === first) this.#pieces.shift()
    else this.#pieces[0] = first.subarray(most)
    this.#length -= taken.length
    return taken
  }

  /** All of them in one piece, which stay. */
  all(): Uint8Array {
    this.#settle()
    const [first, ...rest] = this.#pieces
    if (!first || rest.length === 0) return first ?? new Uint8Array(0)
    const whole = new Uint8Array(this.#length)
    let at = 0
    for (const piece of this.#pieces) {
      whole.set(piece, at)
      at += piece.length
    }
    this.#pieces = [whole]
    return whole
  }

  clear(): void {
    this.#pieces = []
    this.#tail = undefined
    this.#length = 0
  }
}
