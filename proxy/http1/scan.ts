/** Finds where a message head ends, byte by byte, so that the answer never depends on how the bytes were split. */

/** More bytes are needed. */
export const more = -1
/** A control character, a bare CR or a bare LF: no head can be made of this (RFC 9112 section 2.2). */
export const broken = -2
/** The head is longer than it may be. */
export const tooLong = -3

/**
 * Index just past the blank line that ends a head which starts at byte 0, or one of the three answers above. `from` is
 * how far an earlier call has looked; `limit` the longest head.
 */
export function headEnd(bytes: Uint8Array, from: number, to: number, limit: number): number {
  for (let i = from; i < to; i++) {
    if (i >= limit) return tooLong
    const byte = bytes[i]!
    if (byte > 31) {
      if (byte === 127) return broken
      if (i > 0 && bytes[i - 1] === 13) return broken
    } else if (byte === 10) {
      if (i === 0 || bytes[i - 1] !== 13) return broken
      if (i >= 3 && bytes[i - 2] === 10 && bytes[i - 3] === 13) return i + 1
    } else if (byte === 13) {
      if (i > 0 && bytes[i - 1] === 13) return broken
    } else if (byte !== 9 || (i > 0 && bytes[i - 1] === 13)) {
      return broken
    }
  }
  return more
}

/** Bytes as text, one character for each: how the parsers below take a head. A shell may bring a faster one. */
export function byteText(bytes: Uint8Array, from: number, to: number): string {
  let text = ''
  for (let at = from; at < to; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, Math.min(to, at + 4096)))
  }
  return text
}
