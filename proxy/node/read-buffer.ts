/**
 * What the bytes of one upstream are read into. Heads and small answers go through one small buffer, used again for each
 * read. A stream of body bytes gets large ones, which are lent to the caller's socket and come back once their bytes are
 * written, so that a large body is neither copied nor garbage: V8 counts buffers that lie outside of its heap, and
 * collects all objects when there have been enough of them.
 */

/** Bytes of the buffer that each connection has for itself. */
const smallBytes = 16_384

/** Bytes read at a time from an upstream that has that much to say: four full records of TLS. */
const largeBytes = 65_536

/** Large buffers kept for later, of all connections together; those beyond are left to the collector. */
const mostKept = 64

const kept: Lendable[] = []

/** A large buffer and how many writes still read from it. */
class Lendable {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(largeBytes)
  #writes = 0
  /** Whether its connection reads into it. */
  read = true

  get lent(): boolean {
    return this.#writes > 0
  }

  lend(): () => void {
    this.#writes++
    return this.#written
  }

  readonly #written = (): void => {
    this.#writes--
    this.keepUnused()
  }

  keepUnused(): void {
    if (!this.read && this.#writes === 0 && kept.length < mostKept) kept.push(this)
  }
}

export class ReadBuffer {
  readonly #small = Buffer.allocUnsafeSlow(smallBytes)
  #large: Lendable | undefined

  /**
   * The bytes of the read under way stay as they are until what is returned has been called, once. Undefined where they
   * are few enough to be copied: then they are only there until the read is over.
   */
  lend(): (() => void) | undefined {
    return this.#large?.lend()
  }

  /** What to read into next, after a read of `length` bytes. */
  after(length: number): Buffer {
    const wanted = length >= smallBytes
    if (this.#large && !(wanted && !this.#large.lent)) {
      this.#large.read = false
      this.#large.keepUnused()
      this.#large = undefined
    }
    if (wanted && !this.#large) {
      this.#large = kept.pop() ?? new Lendable()
      this.#large.read = true
    }
    return this.first
  }

  /** What to read into now. */
  get first(): Buffer {
    return this.#large?.bytes ?? this.#small
  }
}
