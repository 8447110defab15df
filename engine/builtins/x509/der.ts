/** Reads DER (X.690) from front to back. Every fault is a BuiltinError that names what was being read. */

import { BuiltinError } from '../builtin.ts'
import { fromBytes } from '../signature/rsa.ts'

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

/** A tag of the context that it stands in: primitive, or with elements within. */
export const contextTag = (number: number): number => 0x80 | number
export const contextTagWithin = (number: number): number => 0xa0 | number

export interface Element {
  readonly tag: number
  readonly content: Uint8Array
  /** With tag and length. */
  readonly whole: Uint8Array
}

export interface BitString {
  readonly bytes: Uint8Array
  /** Bits of the last byte that do not count; they are zero. */
  readonly unused: number
}

/** An object identifier's numbers. */
export type Oid = readonly number[]

export class DerReader {
  readonly #bytes: Uint8Array
  readonly #what: string
  #at = 0

  /** `what` is being read, for faults. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  get empty(): boolean {
    return this.#at === this.#bytes.length
  }

  /** The tag of what comes next. */
  get next(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** What is left. */
  get rest(): Uint8Array {
    return this.#bytes.subarray(this.#at)
  }

  any(): Element {
    const from = this.#at
    const tag = this.#byte()
    if ((tag & 0x1f) === 0x1f) throw this.malformed() // Tags of several bytes stand nowhere in X.509.
    const length = this.#length()
    const start = this.#at
    if (length > this.#bytes.length - start) throw this.malformed()
    this.#at += length
    return { tag, content: this.#bytes.subarray(start, this.#at), whole: this.#bytes.subarray(from, this.#at) }
  }

  element(tag: number): Element {
    if (this.next !== tag) throw this.malformed()
    return this.any()
  }

  read(tag: number): Uint8Array {
    return this.element(tag).content
  }

  optional(tag: number): Uint8Array | undefined {
    return this.next === tag ? this.any().content : undefined
  }

  /** What stands within the next element. */
  within(tag: number, what: string = this.#what): DerReader {
    return new DerReader(this.read(tag), what)
  }

  sequence(what: string = this.#what): DerReader {
    return this.within(tags.sequence, what)
  }

  /** X.690 section 8.3, two's complement in the fewest bytes. */
  integer(tag: number = tags.integer): bigint {
    const bytes = this.read(tag)
    const [first, second] = bytes
    if (first === undefined) throw this.malformed()
    if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
      throw this.malformed()
    }
    const value = fromBytes(bytes)
    return first < 0x80 ? value : value - (1n << BigInt(8 * bytes.length))
  }

  /** An integer from 0 up to 2^31 - 1. */
  small(tag: number = tags.integer): number {
    const value = this.integer(tag)
    if (value < 0n || value > 0x7fffffffn) throw this.malformed()
    return Number(value)
  }

  oid(): Oid {
    return oidOf(this.read(tags.oid)) ?? fail(this.malformed())
  }

  /** DER has two bytes for truth (X.690 section 11.1). */
  boolean(): boolean {
    const bytes = this.read(tags.boolean)
    if (bytes.length !== 1 || (bytes[0] !== 0 && bytes[0] !== 0xff)) throw this.malformed()
    return bytes[0] === 0xff
  }

  bitString(): BitString {
    const content = this.read(tags.bitString)
    const unused = content[0]
    const bytes = content.subarray(1)
    if (unused === undefined || unused > 7 || (bytes.length === 0 && unused > 0)) throw this.malformed()
    if (unused > 0 && (bytes[bytes.length - 1]! & ((1 << unused) - 1)) !== 0) throw this.malformed()
    return { bytes, unused }
  }

  /** Bits whose number is a multiple of eight, as keys and signatures are. */
  wholeBytes(): Uint8Array {
    const { bytes, unused } = this.bitString()
    if (unused > 0) throw this.malformed()
    return bytes
  }

  end(): void {
    if (!this.empty) throw this.malformed()
  }

  malformed(): BuiltinError {
    return new BuiltinError(`x509: malformed ${this.#what}`)
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw this.malformed()
    return byte
  }

  /** X.690 section 10.1: the shortest form, and no more than four bytes of it. */
  #length(): number {
    const first = this.#byte()
    if (first < 0x80) return first
    const count = first & 0x7f
    if (count === 0 || count > 4) throw this.malformed()
    let length = 0
    for (let i = 0; i < count; i++) length = length * 256 + this.#byte()
    if (length < 0x80 || length < 256 ** (count - 1)) throw this.malformed()
    return length
  }
}

/** X.690 section 8.19, with numbers below 2^31; undefined where it is none. */
export function oidOf(content: Uint8Array): Oid | undefined {
  const numbers: number[] = []
  let value = 0
  let fresh = true
  for (const byte of content) {
    if (fresh && byte === 0x80) return undefined
    value = value * 128 + (byte & 0x7f)
    if (value > 0x7fffffff) return undefined
    fresh = byte < 0x80
    if (fresh) {
      if (numbers.length === 0)
        numbers.push(Math.min(Math.floor(value / 40), 2), value - 40 * Math.min(Math.floor(value / 40), 2))
      else numbers.push(value)
      value = 0
    }
  }
  return fresh && numbers.length > 0 ? numbers : undefined
}

export const oidText = (oid: Oid): string => oid.join('.')

function fail(error: Error): never {
  throw error
}
