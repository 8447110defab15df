/**
 * Writes header blocks (RFC 7541 section 6). A field enters the table when it comes a second time in a row, so that what
 * differs each time costs nobody a place; what is secret never does. Strings are not coded by Huffman: bytes on the wire
 * between proxies cost less than the time to code them.
 */

import { putLatin1 } from '../latin1.ts'
import { staticTable } from './static-table.ts'
import { entryBytes } from './table.ts'

/** Most bytes of our table, whatever the other end would take. */
const mostTableBytes = 4096
/** Names of one connection that are remembered, and the longest name and value that are. */
const mostNames = 128
const longestName = 64
const longestKept = 512

/** Section 7.1.3: what could be guessed piece by piece where it is compressed with what others chose. */
const secretNames: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'set-cookie'])
const shortCookie = 20

interface Entry {
  readonly name: string
  readonly value: string
  /** How many were added before it. */
  readonly number: number
}

/** What is known of a name on this connection. */
interface Known {
  /** Its index in the static table, or 0, and those of its fields there. */
  readonly index: number
  readonly fixed: ReadonlyMap<string, number> | undefined
  readonly secret: boolean
  readonly entries: Map<string, Entry>
  /** The entry that was used last. */
  hit: Entry | undefined
  /** The value that came last, where it is not in the table. */
  last: string | undefined
}

/** The index of each name, and of each whole field. */
const staticNames = new Map<string, number>()
const staticFields = new Map<string, Map<string, number>>()
for (const [i, [name, value]] of staticTable.entries()) {
  if (!staticNames.has(name)) staticNames.set(name, i + 1)
  if (value === '') continue
  const values = staticFields.get(name) ?? new Map<string, number>()
  staticFields.set(name, values.set(value, i + 1))
}

const nothing = new Uint8Array(0)

export class Encoder {
  readonly #known = new Map<string, Known>()
  readonly #entries: Entry[] = []
  #oldest = 0
  #added = 0
  #bytes = 0
  #maxBytes = mostTableBytes
  /** Smallest size since the last block, where it changed (section 4.2). */
  #lowest: number | undefined
  #out: Uint8Array = nothing
  #at = 0

  /** What the peer's settings allow from now on, in bytes; 4096 until then. */
  resize(bytes: number): void {
    const next = Math.min(bytes, mostTableBytes)
    if (next === this.#maxBytes) return
    this.#maxBytes = next
    this.#lowest = Math.min(this.#lowest ?? next, next)
    this.#evict(next)
  }

  /** Bytes that `encode` writes at most. */
  static most(fields: readonly string[]): number {
    let bytes = 16
    for (let i = 0; i < fields.length; i++) bytes += fields[i]!.length + 8
    return bytes
  }

  /** Writes names and values by turns to `out` from `at`, which has room for `most`. Gives where they end. */
  encode(fields: readonly string[], out: Uint8Array, at: number, secret?: readonly string[]): number {
    this.#out = out
    this.#at = at
    if (this.#lowest !== undefined) {
      if (this.#lowest < this.#maxBytes) this.#integer(32, 31, this.#lowest)
      this.#integer(32, 31, this.#maxBytes)
      this.#lowest = undefined
    }
    for (let i = 0; i < fields.length; i += 2) this.#field(fields[i]!, fields[i + 1]!, secret)
    this.#out = nothing
    return this.#at
  }

  #field(name: string, value: string, secret: readonly string[] | undefined): void {
    const known = this.#knownOf(name)
    const whole = known.fixed?.get(value)
    if (whole !== undefined) {
      this.#out[this.#at++] = 128 | whole
      return
    }
    if (known.secret || (name === 'cookie' && value.length < shortCookie) || secret?.includes(name)) {
      this.#literal(16, 15, known, name, value)
      return
    }
    const entry = known.hit?.value === value ? known.hit : known.entries.get(value)
    if (entry) {
      known.hit = entry
      this.#integer(128, 127, this.#indexOf(entry))
    } else if (known.last === value) {
      this.#literal(64, 63, known, name, value)
      known.last = undefined
      this.#add(known, name, value)
    } else {
      this.#literal(0, 15, known, name, value)
      known.last = value.length <= longestKept ? value : undefined
    }
  }

  #knownOf(name: string): Known {
    const known = this.#known.get(name)
    if (known) return known
    const index = staticNames.get(name) ?? 0
    const fixed = staticFields.get(name)
    const fresh: Known = {
      ...{ index, fixed, secret: secretNames.has(name) },
      ...{ entries: new Map(), hit: undefined, last: undefined },
    }
    if (this.#known.size < mostNames && name.length <= longestName) this.#known.set(name, fresh)
    return fresh
  }

  #indexOf(entry: Entry): number {
    return staticTable.length + this.#added - entry.number
  }

  #add(known: Known, name: string, value: string): void {
    const bytes = name.length + value.length + entryBytes
    this.#evict(this.#maxBytes - bytes)
    if (bytes > this.#maxBytes) return
    const entry = { name, value, number: this.#added++ }
    this.#entries.push(entry)
    known.entries.set(value, entry)
    this.#bytes += bytes
  }

  #evict(toBytes: number): void {
    while (this.#bytes > toBytes && this.#oldest < this.#entries.length) {
      const { name, value } = this.#entries[this.#oldest++]!
      this.#bytes -= name.length + value.length + entryBytes
      const known = this.#known.get(name)!
      known.entries.delete(value)
      known.hit = undefined
    }
    if (this.#oldest > 64 || this.#oldest === this.#entries.length) {
      this.#entries.splice(0, this.#oldest)
      this.#oldest = 0
    }
  }

  #literal(kind: number, mask: number, { index }: Known, name: string, value: string): void {
    if (index !== 0) this.#integer(kind, mask, index)
    else {
      this.#out[this.#at++] = kind
      this.#string(name)
    }
    this.#string(value)
  }

  #string(text: string): void {
    this.#integer(0, 127, text.length)
    putLatin1(text, this.#out, this.#at)
    this.#at += text.length
  }

  /** Section 5.1. */
  #integer(kind: number, mask: number, value: number): void {
    if (value < mask) {
      this.#out[this.#at++] = kind | value
      return
    }
    this.#out[this.#at++] = kind | mask
    let left = value - mask
    for (; left >= 128; left >>= 7) this.#out[this.#at++] = (left & 127) | 128
    this.#out[this.#at++] = left
  }
}
