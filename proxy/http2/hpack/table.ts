/** The dynamic table (RFC 7541 section 2.3.2): fields that were sent before, the newest first, bounded in bytes. */

/** What an entry counts beside its text (section 4.1). */
export const entryBytes = 32

export class DynamicTable {
  readonly #names: string[] = []
  readonly #values: string[] = []
  /** Where the oldest entry stands that is still there. */
  #oldest = 0
  #bytes = 0
  #maxBytes: number

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get length(): number {
    return this.#names.length - this.#oldest
  }

  get bytes(): number {
    return this.#bytes
  }

  get maxBytes(): number {
    return this.#maxBytes
  }

  /** Of the entry that stands at `index`, 0 for the newest. */
  name(index: number): string {
    return this.#names[this.#names.length - 1 - index]!
  }

  value(index: number): string {
    return this.#values[this.#values.length - 1 - index]!
  }

  /** Section 4.3: entries that do not fit any more are gone. */
  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes
    this.#evict(maxBytes)
  }

  /** Section 4.4: an entry larger than the table empties it, and is no error. */
  add(name: string, value: string): void {
    const bytes = name.length + value.length + entryBytes
    this.#evict(this.#maxBytes - bytes)
    if (bytes > this.#maxBytes) return
    this.#names.push(name)
    this.#values.push(value)
    this.#bytes += bytes
  }

  #evict(toBytes: number): void {
    while (this.#bytes > toBytes && this.#oldest < this.#names.length) {
      this.#bytes -= this.#names[this.#oldest]!.length + this.#values[this.#oldest]!.length + entryBytes
      this.#names[this.#oldest] = this.#values[this.#oldest] = '' // Their text may go.
      this.#oldest++
    }
    if (this.#oldest > 64 && this.#oldest * 2 > this.#names.length) {
      this.#names.splice(0, this.#oldest)
      this.#values.splice(0, this.#oldest)
      this.#oldest = 0
    }
  }
}
