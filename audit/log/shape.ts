/**
 * Records differ in their values and hardly in anything else. A shape is a record whose values leave slots: whatever
 * differs from it in slots alone, and has plain values there, is in canonical JSON because it is.
 */

export interface Shape {
  /** The record that it was made of, and the same to be read eight bytes at a time. */
  readonly bytes: Uint8Array
  readonly words: DataView
  /** Where its slots begin and end. */
  readonly from: Int32Array
  readonly to: Int32Array
  /** By slot: 1 for a text, whose quotes are not of the slot, 0 for a whole number. */
  readonly texts: Uint8Array
}

/** A record with more values has no shape. */
export const maxSlots = 128

/** Where the slots begin and end of the bytes that fitted last. */
export const slotFrom: Int32Array = new Int32Array(maxSlots)
export const slotTo: Int32Array = new Int32Array(maxSlots)

/** Text that stands for itself: printable ASCII without quote and backslash. */
const plain = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c ? 1 : 0,
)

/** Characters of a number that JavaScript writes as it stands. */
const maxDigits = 15

/** Where the plain text ends that begins at `from`. Four at a time: most of a record is text, and most texts are longer. */
export function textEnd(bytes: Uint8Array, from: number): number {
  let i = from
  while (plain[bytes[i]!]! & plain[bytes[i + 1]!]! & plain[bytes[i + 2]!]! & plain[bytes[i + 3]!]!) i += 4
  while (plain[bytes[i]!] === 1) i++
  return i
}

/** Where the whole number ends; -1 where there is none that JavaScript would write like this. */
export function numberEnd(bytes: Uint8Array, from: number): number {
  const first = bytes[from] === 0x2d ? from + 1 : from
  let i = first
  while (bytes[i]! >= 0x30 && bytes[i]! <= 0x39) i++
  if (i === first || i - from > maxDigits) return -1
  if (bytes[first] === 0x30 && (i > first + 1 || first > from)) return -1 // No leading zero, and zero has no sign.
  return i // A fraction or an exponent is found wanting behind it.
}

/**
 * The same, known to be plain up to `from`, in words: as far as four bytes are plain together. In each byte that is below
 * 0x20, a quote or a backslash a difference borrows, and one from 0x7f on carries, into the highest bit; a byte that lies
 * above such a one may be taken for one as well, and is looked at by itself.
 */
function plainWords(words: DataView, from: number, last: number): number {
  let i = from
  for (; i <= last; i += 4) {
    const word = words.getInt32(i, true)
    const quotes = (word ^ 0x22222222) - 0x01010101
    const slashes = (word ^ 0x5c5c5c5c) - 0x01010101
    if (((word - 0x20202020) | (word + 0x01010101) | quotes | slashes) & 0x80808080) break
  }
  return i
}

/** Of the buffer that was looked into last. */
let lastBuffer: ArrayBufferLike | undefined
let lastWords: DataView = new DataView(new ArrayBuffer(0))

/**
 * Where the record that begins at `start` ends, and the slots are set; -1 where it does not fit the shape. Eight bytes are
 * compared as one number: those of a shape are printable, so that theirs is never zero and never none.
 */
export function fitEnd(shape: Shape, bytes: Uint8Array, start: number): number {
  const { bytes: own, words, from, to, texts } = shape
  if (bytes.buffer !== lastBuffer) {
    lastBuffer = bytes.buffer
    lastWords = new DataView(lastBuffer)
  }
  const others = lastWords
  const { byteOffset } = bytes
  const most = others.byteLength - 8
  const length = own.length
  const count = texts.length
  let shift = start // How far the same place lies behind that in the shape.
  let slot = 0
  for (let at = 0; ; ) {
    const far = byteOffset + shift
    const last = Math.min(length - 8, most - far)
    while (at <= last && words.getFloat64(at, true) === others.getFloat64(far + at, true)) at += 8
    while (at < length && own[at] === bytes[at + shift]) at++
    for (; slot < count && to[slot]! < at; slot++) {
      slotFrom[slot] = from[slot]! + shift
      slotTo[slot] = to[slot]! + shift
    }
    if (at === length) return at + shift
    if (slot === count || at < from[slot]!) return -1
    const begin = from[slot]! + shift
    // What of a text is as in the shape is plain.
    const end =
      texts[slot] === 1 ? textEnd(bytes, plainWords(others, far + at, most + 4) - byteOffset) : numberEnd(bytes, begin)
    if (end < 0) return -1
    slotFrom[slot] = begin
    slotTo[slot] = end
    at = to[slot]!
    shift = end - at
    slot++
  }
}

/**
 * The shape of bytes that were found to be an object in plain canonical JSON; undefined where it has too many values.
 * Members at the top that `fixed` names have no slot.
 */
export function shapeOf(bytes: Uint8Array, start: number, end: number, fixed: readonly string[]): Shape | undefined {
  const own = Uint8Array.from(bytes.subarray(start, end)) // A slice of a Buffer would be no copy.
  const from: number[] = []
  const to: number[] = []
  const texts: number[] = []
  let depth = 0
  let name = ''
  for (let i = 0; i < own.length; ) {
    const byte = own[i]!
    const isText = byte === 0x22
    const begin = isText ? i + 1 : i
    const until = isText ? textEnd(own, begin) : numberEnd(own, begin)
    const isName = isText && own[until + 1] === 0x3a // A value is followed by a comma or a bracket.
    if (byte === 0x7b || byte === 0x5b) depth++
    else if (byte === 0x7d || byte === 0x5d) depth--
    else if (isName && depth === 1) name = String.fromCharCode(...own.subarray(begin, until))
    else if (until >= 0 && !isName && !(depth === 1 && fixed.includes(name))) {
      if (texts.push(isText ? 1 : 0) > maxSlots) return undefined
      from.push(begin)
      to.push(until)
    }
    i = until < 0 ? i + 1 : isText ? until + 1 : until
  }
  const [begins, ends] = [Int32Array.from(from), Int32Array.from(to)]
  return { bytes: own, words: new DataView(own.buffer), from: begins, to: ends, texts: Uint8Array.from(texts) }
}
