/** Bytes to text and back, on every runtime. */

const encoder = new TextEncoder()
/** A byte order mark is a character like any other: left out, two texts would read as one. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Two digits for each byte. */
const hexPairs: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** Throws a TypeError on bytes that are not UTF-8. */
export const fromUtf8 = (bytes: Uint8Array): string => decoder.decode(bytes)

export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i++) text += hexPairs[bytes[i]!]!
  return text
}

/** Lower-case hex of whole bytes only; anything else is undefined. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** Standard base64 with padding (RFC 4648 section 4). */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000))
  return btoa(text)
}

/** Strict standard base64: right alphabet, right padding, no spare bits; anything else is undefined. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return fromSixBits(text, text.length - padding, standardBits)
}

/** URL-safe base64 without padding (RFC 4648 section 5). */
export const toBase64Url = (bytes: Uint8Array): string =>
  toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')

export const fromBase64Url = (text: string): Uint8Array | undefined => fromSixBits(text, text.length, urlBits)

/** What each character stands for; -1 for those of no alphabet. */
const bitsOf = (last: string): Int8Array => {
  const alphabet = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789${last}`
  return Int8Array.from({ length: 128 }, (_, code) => alphabet.indexOf(String.fromCharCode(code)))
}
const standardBits = bitsOf('+/')
const urlBits = bitsOf('-_')

/** RFC 4648 section 3.5: what is left over must be zero, so that no two texts stand for the same bytes. */
function fromSixBits(text: string, length: number, bits: Int8Array): Uint8Array | undefined {
  if (length % 4 === 1) return undefined
  const bytes = new Uint8Array((length * 3) >> 2)
  let at = 0
  let rest = 0
  let held = 0
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    const six = code < 128 ? bits[code]! : -1
    if (six < 0) return undefined
    rest = (rest << 6) | six
    held += 6
    if (held < 8) continue
    held -= 8
    bytes[at++] = rest >> held
    rest &= (1 << held) - 1
  }
  return rest === 0 ? bytes : undefined
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
