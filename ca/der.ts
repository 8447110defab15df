/** Strict DER (X.690 section 10): one value has one encoding, so whatever this accepts reads the same everywhere. */

import { WritError } from '../core/fault.ts'

/** One element, with everything below it already read. Primitive elements have no items. */
export interface Der {
  /** The identifier octet: class, constructed bit and number. */
  readonly tag: number
  /** Identifier, length and content. */
  readonly whole: Uint8Array
  /** Content alone. */
  readonly body: Uint8Array
  readonly items: readonly Der[]
}

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** A certificate or request longer than this is refused unread, in bytes. */
const maxBytes = 65_536
/** Deepest nesting. A certificate needs about eight. */
const maxDepth = 16
/** Most elements in one value. A certificate needs about a hundred. */
const maxItems = 4096

export const malformed = (why: string): WritError => new WritError('certificate_invalid', why)

/** Reads exactly one element and nothing after it, or throws `certificate_invalid`. */
export function readDer(bytes: Uint8Array): Der {
  if (bytes.length > maxBytes) throw malformed(`longer than ${maxBytes} bytes`)
  const left = { items: maxItems }
  const der = readAt(bytes, 0, bytes.length, 0, left)
  if (der.whole.length !== bytes.length) throw malformed('bytes after the end')
  return der
}

/** `limit` is where what holds the element ends. */
function readAt(bytes: Uint8Array, at: number, limit: number, depth: number, left: { items: number }): Der {
  if (depth > maxDepth) throw malformed(`nested deeper than ${maxDepth}`)
  if (--left.items < 0) throw malformed(`more than ${maxItems} elements`)
  if (at >= limit) throw malformed('cut short')
  const tag = bytes[at]!
  if ((tag & 0x1f) === 0x1f) throw malformed('a tag number above 30')
  const { start, end } = readLength(bytes, at + 1, limit)
  const body = bytes.subarray(start, end)
  const items: Der[] = []
  if (tag & 0x20) {
    for (let next = start; next < end; ) {
      const item = readAt(bytes, next, end, depth + 1, left)
      items.push(item)
      next += item.whole.length
    }
  }
  checkUniversal(tag, body, items)
  return { tag, whole: bytes.subarray(at, end), body, items }
}

/** X.690 sections 8.1.3 and 10.1: definite, and in the fewest bytes. */
function readLength(bytes: Uint8Array, at: number, limit: number): { start: number; end: number } {
  if (at >= limit) throw malformed('cut short')
  const first = bytes[at]!
  let start = at + 1
  let length = first
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count === 0) throw malformed('an indefinite length')
    if (count > 3) throw malformed('a length of more than three bytes')
    length = 0
    for (let i = 0; i < count; i++) {
      if (start >= limit) throw malformed('cut short')
      length = length * 256 + bytes[start++]!
    }
    if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw malformed('a length in more bytes than it needs')
  }
  if (start + length > limit) throw malformed('a length past the end')
  return { start, end: start + length }
}

/** Rules that X.690 has for single universal types; other classes are judged by whoever knows what they stand for. */
function checkUniversal(tag: number, body: Uint8Array, items: readonly Der[]): void {
  if (tag & 0xc0) return
  const constructed = (tag & 0x20) !== 0
  const number = tag & 0x1f
  if (constructed !== (number === 0x10 || number === 0x11)) throw malformed('a type in the wrong form')
  switch (number) {
    case 0x00:
      throw malformed('an end of contents, which definite lengths have no use for')
    case 0x01:
      if (body.length !== 1 || (body[0] !== 0 && body[0] !== 0xff)) throw malformed('a BOOLEAN that is not 00 or FF')
      return
    case 0x02:
    case 0x0a:
      checkInteger(body)
      return
    case 0x03:
      checkBitString(body)
      return
    case 0x05:
      if (body.length !== 0) throw malformed('a NULL with content')
      return
    case 0x06:
      checkOid(body)
      return
    case 0x11:
      checkSetOrder(items)
  }
}

/** X.690 section 8.3.2: never nine equal bits in front. */
function checkInteger(body: Uint8Array): void {
  if (body.length === 0) throw malformed('an empty INTEGER')
  if (body.length === 1) return
  if (body[0] === 0 && body[1]! < 0x80) throw malformed('an INTEGER in more bytes than it needs')
  if (body[0] === 0xff && body[1]! >= 0x80) throw malformed('an INTEGER in more bytes than it needs')
}

/** X.690 section 11.2.1: unused bits are zero. */
function checkBitString(body: Uint8Array): void {
  const unused = body[0]
  if (unused === undefined || unused > 7 || (body.length === 1 && unused !== 0)) throw malformed('a bad BIT STRING')
  if (body[body.length - 1]! & ((1 << unused) - 1) && body.length > 1) throw malformed('unused bits that are set')
}

/** X.690 section 8.19: every arc in the fewest bytes, and the last one finished. */
function checkOid(body: Uint8Array): void {
  if (body.length === 0 || body[body.length - 1]! >= 0x80) throw malformed('an OBJECT IDENTIFIER cut short')
  for (let i = 0; i < body.length; i++) {
    if (body[i] === 0x80 && (i === 0 || body[i - 1]! < 0x80)) throw malformed('an arc in more bytes than it needs')
  }
}

/** X.690 section 11.6: the elements of a SET OF ascend. */
function checkSetOrder(items: readonly Der[]): void {
  for (let i = 1; i < items.length; i++) {
    if (compare(items[i - 1]!.whole, items[i]!.whole) > 0) throw malformed('a SET out of order')
  }
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/** Takes the items of a constructed element in order. */
export interface Walk {
  /** The next item, which must have this tag. */
  take(tag: number, what: string): Der
  /** The next item if it has this tag. */
  maybe(tag: number): Der | undefined
  /** Refuses items that are left over. */
  end(what: string): void
}

export function walk(der: Der, tag: number, what: string): Walk {
  if (der.tag !== tag) throw malformed(`${what} of another type`)
  let at = 0
  return {
    take(tag, what) {
      const item = der.items[at++]
      if (item?.tag !== tag) throw malformed(`${what} is missing or of another type`)
      return item
    },
    maybe(tag) {
      return der.items[at]?.tag === tag ? der.items[at++] : undefined
    },
    end(what) {
      if (at !== der.items.length) throw malformed(`more than expected in ${what}`)
    },
  }
}

/** The only item of a constructed element, as an EXPLICIT tag wraps it. */
export function only(der: Der, tag: number, what: string): Der {
  const inside = der.items[0]
  if (der.items.length !== 1 || inside?.tag !== tag) throw malformed(`${what} is missing or of another type`)
  return inside
}

/** Items of a SEQUENCE OF that may not be empty. */
export function listOf(der: Der, what: string): readonly Der[] {
  if (der.tag !== tags.sequence || der.items.length === 0) throw malformed(`${what} is empty or of another type`)
  return der.items
}

/** Dotted decimal. */
export function oidText(body: Uint8Array): string {
  if (body.length > 32) throw malformed('an OBJECT IDENTIFIER of more than 32 bytes')
  let text = ''
  let arc = 0
  for (const byte of body) {
    if (arc >= 2 ** 46) return longOidText(body) // Seven more bits may be more than a number holds.
    arc = arc * 128 + (byte & 0x7f)
    if (byte >= 0x80) continue
    const top = arc < 40 ? 0 : arc < 80 ? 1 : 2
    text = text === '' ? `${top}.${arc - top * 40}` : `${text}.${arc}`
    arc = 0
  }
  return text
}

function longOidText(body: Uint8Array): string {
  const arcs: bigint[] = []
  let arc = 0n
  for (const byte of body) {
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    if (byte < 0x80) {
      arcs.push(arc)
      arc = 0n
    }
  }
  const first = arcs[0] ?? 0n
  const top = first < 40n ? 0n : first < 80n ? 1n : 2n
  return [top, first - top * 40n, ...arcs.slice(1)].join('.')
}

/** A non-negative INTEGER of at most 31 bits. */
export function smallInteger(der: Der, what: string): number {
  if (der.body.length > 4 || der.body[0]! >= 0x80) throw malformed(`${what} is out of range`)
  return der.body.reduce((value, byte) => value * 256 + byte, 0)
}

/** The bytes of a BIT STRING that holds whole bytes. */
export function bitStringBytes(der: Der, what: string): Uint8Array {
  if (der.body[0] !== 0) throw malformed(`${what} does not hold whole bytes`)
  return der.body.subarray(1)
}

/** Turns a reader that throws `certificate_invalid` into one that answers. */
export function attempt<T>(read: () => T): { readonly value: T } | { readonly wrong: string } {
  try {
    return { value: read() }
  } catch (thrown) {
    if (thrown instanceof WritError && thrown.code === 'certificate_invalid') return { wrong: thrown.message }
    throw thrown
  }
}
