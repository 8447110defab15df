/** Bytes that wait, first in, first out. Small pieces are gathered, so that many of them cost no more than their bytes. */

/** Pieces below it are copied, where they are not alone; larger ones are kept as they came. */
const small = 2048
const tailBytes = 16_384

export class ByteQueue {
  /** Most queues never hold more than one piece. */
  #first: Uint8Array | undefined
  #rest: Uint8Array[] | undefined
  /** The last piece has room behind it, from `tailUsed` on. */
  #tail: Uint8Array | undefined
  #tailUsed = 0
  length = 0

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.length += bytes.length
    if (this.length === bytes.length) {
      this.#first = bytes
      return
    }
    if (bytes.length >= small) {
      this.#settle()
      ;(this.#rest ??= []).push(bytes)
      return
    }
    if (this.#tail && this.#tail.length - this.#tailUsed < bytes.length) this.#settle()
    if (!this.#tail) {
      this.#tail = new Uint8Array(this.#rest === undefined ? small : tailBytes)
      this.#tailUsed = 0
    }
    this.#tail.set(bytes, this.#tailUsed)
    this.#tailUsed += bytes.length
  }

  #settle(): void {
    if (this.#tail) (this.#rest ??= []).push(this.#tail.subarray(0, this.#tailUsed))
    this.#tail = undefined
  }

  /** The first bytes, at most so many; undefined where there are none. */
  take(most: number): Uint8Array | undefined {
    const first = this.#first
    if (!first || most <= 0) return undefined
    if (first.length > most) {
      this.#first = first.subarray(most)
      this.length -= most
      return first.subarray(0, most)
    }
    this.length -= first.length
    if (this.length === 0) this.clear()
    else {
      if (!this.#rest?.length) this.#settle()
      this.#first = this.#rest?.shift()
    }
    return first
  }

  /** All of them in one piece, which stay. */
  all(): Uint8Array {
    this.#settle()
    if (!this.#first || !this.#rest?.length) return this.#first ?? new Uint8Array(0)
    const whole = new Uint8Array(this.length)
    whole.set(this.#first)
    let at = this.#first.length
    for (const piece of this.#rest) {
      whole.set(piece, at)
      at += piece.length
    }
    this.#first = whole
    this.#rest = undefined
    return whole
  }

  clear(): void {
    this.#first = this.#rest = this.#tail = undefined
    this.length = 0
  }
}
