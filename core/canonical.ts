/** Whether JSON is plainly canonical (RFC 8785), by a look at its bytes: quicker than writing it anew and comparing. */

/** Of text that stands for itself: printable ASCII without quote and backslash. */
const plain = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c ? 1 : 0,
)

/** Arrays and objects within each other that are looked into. */
const maxDepth = 64
/** Digits of whole numbers that JavaScript writes as they stand. */
const maxDigits = 15

const noName = -1
/** By depth, where the name before begins and ends in an object; in an array there are none. */
const nameFrom = new Int32Array(maxDepth + 1)
const nameTo = new Int32Array(maxDepth + 1)
const inObject = new Uint8Array(maxDepth + 1)

/**
 * For bytes that a JSON reader has read. True only where `canonicalJson` of what it read is these bytes; false also where
 * that takes more than a look: escapes, text beyond ASCII, numbers with a fraction or an exponent.
 */
export function isPlainlyCanonical(bytes: Uint8Array): boolean {
  let depth = 0
  let isName = false
  inObject[0] = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === 0x22) {
      const from = ++i
      while (plain[bytes[i]!] === 1) i++
      if (bytes[i] !== 0x22) return false
      if (!isName) continue
      if (nameFrom[depth] !== noName && !isBefore(bytes, nameFrom[depth]!, nameTo[depth]!, from, i)) return false
      nameFrom[depth] = from
      nameTo[depth] = i
    } else if (byte === 0x3a) isName = false
    else if (byte === 0x2c) isName = inObject[depth] === 1
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > maxDepth) return false
      isName = byte === 0x7b
      inObject[depth] = isName ? 1 : 0
      nameFrom[depth] = noName
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--
      isName = false
    } else if (byte === 0x2d || isDigit(byte)) {
      if (byte === 0x2d && bytes[i + 1] === 0x30) return false // Zero has no sign.
      const from = i
      while (isDigit(bytes[i + 1]!)) i++
      const next = bytes[i + 1]
      if (i - from >= maxDigits || next === 0x2e || next === 0x45 || next === 0x65) return false
    } else if (byte < 0x61 || byte > 0x7a) return false // Space; letters are those of true, false and null.
  }
  return true
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39

/** Whether one name comes before another, and is not the same. */
function isBefore(bytes: Uint8Array, from: number, to: number, otherFrom: number, otherTo: number): boolean {
  while (from < to && otherFrom < otherTo) {
    const difference = bytes[from++]! - bytes[otherFrom++]!
    if (difference !== 0) return difference < 0
  }
  return from === to && otherFrom < otherTo
}
