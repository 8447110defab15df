/** Reads a WebAssembly module's bytes strictly, from front to back, and writes its numbers and names. */

import { utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'

/** Running over the end is an error, and so is stopping before it. */
export class Reader {
  readonly #bytes: Uint8Array
  at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  done(): boolean {
    return this.at === this.#bytes.length
  }

  end(): void {
    if (!this.done()) throw invalid('a section is longer than its content')
  }

  byte(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw invalid('it ends too early')
    return byte
  }

  bytes(length: number): Uint8Array {
    if (length > this.#bytes.length - this.at) throw invalid('it ends too early')
    return this.#bytes.subarray(this.at, (this.at += length))
  }

  /** LEB128 of at most five bytes and 32 bits (WebAssembly core 5.2.2). */
  u32(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      if (shift === 28 && byte > 0x0f) break
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw invalid('a number has more than 32 bits')
  }

  /** Passes over a signed LEB128 of at most so many bytes. */
  skipSigned(maxBytes: number): void {
    for (let length = 0; length < maxBytes; length++) if (this.byte() < 0x80) return
    throw invalid('a constant has too many bits')
  }

  name(): string {
    return utf8Text.decode(this.bytes(this.u32()))
  }

  /** As many as a vector says it has; each takes a byte at least, so the count cannot outgrow the bytes. */
  vector<T>(read: () => T): readonly T[] {
    const items: T[] = []
    for (let left = this.u32(); left > 0; left--) items.push(read())
    return items
  }

  /** The minimum of a table's or a memory's limits. */
  limits(): number {
    const flags = this.byte()
    if (flags > 1) throw invalid('a shared or 64-bit memory')
    const minimum = this.u32()
    if (flags === 1) this.u32()
    return minimum
  }
}

const utf8Text = new TextDecoder()

export const nameBytes = (text: string): readonly number[] => [...leb(utf8(text).length), ...utf8(text)]

/** An unsigned number of 32 bits. */
export function leb(value: number): readonly number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest]
    bytes.push((rest & 0x7f) | 0x80)
  }
}

/** A signed number of 64 bits. */
export function signedLeb(value: bigint): readonly number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>= 7n) {
    const low = Number(rest & 0x7fn)
    if (rest >> 6n === 0n || rest >> 6n === -1n) return [...bytes, low]
    bytes.push(low | 0x80)
  }
}

export const invalid = (why: string): WritError =>
  new WritError('policy_invalid', `policy.wasm cannot be used: ${why}`, {
    cure: 'Build it with `writ policy build`, or with `opa build -t wasm`.',
  })
