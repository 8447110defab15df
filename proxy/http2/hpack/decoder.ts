/** Reads header blocks (RFC 7541 section 6). What is wrong with one is the end of its connection: the tables differ since. */

import { type Latin1, latin1 } from '../latin1.ts'
import { decodeHuffman, mostDecoded } from './huffman.ts'
import { staticTable } from './static-table.ts'
import { DynamicTable, entryBytes } from './table.ts'

/** What a block says. */
export interface HeaderList {
  /** Names and values by turns, as they came. */
  readonly fields: string[]
  /** Names of fields that may never be indexed on their way (section 7.1.3). */
  secret: string[] | undefined
  /** Whether all of it is in `fields`: beyond the bounds it was read and forgotten. */
  whole: boolean
}

export interface DecoderOptions {
  /** Most bytes of a list, counted as RFC 9113 section 6.5.2 does: 32 for each field beside its text. */
  readonly maxListBytes: number
  /** Most fields of a list. */
  readonly maxFields: number
  /** Most bytes of the dynamic table, as our settings promise. Default 4096. */
  readonly maxTableBytes?: number
  /** Default our own. */
  readonly text?: Latin1
}

const defaultTableBytes = 4096
/** Integers are far below: beyond it somebody plays with us (section 5.1). */
const maxInteger = 2 ** 28

/** Coded strings are decoded into it, one at a time. */
let scratch = new Uint8Array(1024)

export class Decoder {
  readonly #options: DecoderOptions
  readonly #maxTableBytes: number
  readonly #table: DynamicTable
  readonly #text: Latin1
  #bytes: Uint8Array = scratch
  #at = 0
  #to = 0
  #failed = false

  constructor(options: DecoderOptions) {
    this.#options = options
    this.#maxTableBytes = options.maxTableBytes ?? defaultTableBytes
    this.#table = new DynamicTable(this.#maxTableBytes)
    this.#text = options.text ?? latin1
  }

  /** Undefined where it cannot be read (COMPRESSION_ERROR). */
  decode(bytes: Uint8Array, from: number, to: number): HeaderList | undefined {
    this.#bytes = bytes
    this.#at = from
    this.#to = to
    this.#failed = false
    const list = this.#list()
    this.#bytes = scratch // What arrived is held no longer than it is read.
    return list
  }

  #list(): HeaderList | undefined {
    const bytes = this.#bytes
    const list: HeaderList = { fields: [], secret: undefined, whole: true }
    const { maxListBytes, maxFields } = this.#options
    let left = maxListBytes
    while (this.#at < this.#to) {
      const byte = bytes[this.#at]!
      let name: string
      let value: string
      let secret = false
      if (byte >= 128) {
        const index = this.#integer(127)
        if (index === 0 || !this.#isKnown(index)) return undefined
        name = this.#name(index)
        value = this.#value(index)
      } else if (byte >= 32 && byte < 64) {
        // Section 4.2: sizes change before the first field alone.
        const size = this.#integer(31)
        if (this.#failed || list.fields.length > 0 || !list.whole || size > this.#maxTableBytes) return undefined
        this.#table.resize(size)
        continue
      } else {
        const keeps = byte >= 64
        const index = this.#integer(keeps ? 63 : 15)
        if (this.#failed || !(index === 0 || this.#isKnown(index))) return undefined
        name = index === 0 ? this.#string() : this.#name(index)
        value = this.#string()
        if (keeps) this.#table.add(name, value)
        secret = byte >= 16 && byte < 32
      }
      if (this.#failed) return undefined
      left -= name.length + value.length + entryBytes
      if (left < 0 || list.fields.length >= 2 * maxFields) list.whole = false
      if (!list.whole) continue
      list.fields.push(name, value)
      if (secret) (list.secret ??= []).push(name)
    }
    return list
  }

  #isKnown(index: number): boolean {
    return index <= staticTable.length + this.#table.length
  }

  #name(index: number): string {
    return index <= staticTable.length ? staticTable[index - 1]![0] : this.#table.name(index - staticTable.length - 1)
  }

  #value(index: number): string {
    return index <= staticTable.length ? staticTable[index - 1]![1] : this.#table.value(index - staticTable.length - 1)
  }

  /** Section 5.1. `mask`: the bits of the first byte that are its own. */
  #integer(mask: number): number {
    const first = this.#bytes[this.#at++]! & mask
    if (first < mask) return first
    let value = mask
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#to) break
      const byte = this.#bytes[this.#at++]!
      value += (byte & 127) << shift
      if (byte < 128) return value < maxInteger ? value : this.#fail()
    }
    return this.#fail()
  }

  #fail(): number {
    this.#failed = true
    return 0
  }

  #string(): string {
    if (this.#failed || this.#at >= this.#to) {
      this.#failed = true
      return ''
    }
    const coded = this.#bytes[this.#at]! >= 128
    const length = this.#integer(127)
    const from = this.#at
    if (this.#failed || length > this.#to - from) {
      this.#failed = true
      return ''
    }
    this.#at += length
    if (!coded) return this.#text(this.#bytes, from, this.#at)
    if (mostDecoded(length) > scratch.length) scratch = new Uint8Array(mostDecoded(length) * 2)
    const decoded = decodeHuffman(this.#bytes, from, this.#at, scratch)
    if (decoded < 0) this.#failed = true
    return decoded < 0 ? '' : this.#text(scratch, 0, decoded)
  }
}
