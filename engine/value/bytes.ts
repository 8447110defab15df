/**
 * Strings of Rego are bytes that need not be UTF-8 (`base64.decode` gives any). Where a byte is none, it becomes a lone
 * surrogate, U+DC80 to U+DCFF, and becomes that byte again on the way out (PEP 383). Nothing else can be a lone one.
 */

import { utf8 } from '../../core/bytes.ts'

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function stringOfBytes(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes)
  } catch {
    return escaped(bytes)
  }
}

/** The bytes that a string of Rego stands for: what hashes are taken of. */
export function bytesOfString(text: string): Uint8Array {
  if (text.isWellFormed()) return utf8(text)
  const bytes: number[] = []
  for (const char of text) {
    const code = char.codePointAt(0)!
    if (code >= 0xdc80 && code <= 0xdcff) bytes.push(code - 0xdc00)
    else bytes.push(...utf8(char))
  }
  return Uint8Array.from(bytes)
}

function escaped(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at]!)
    const char = decoded(bytes.subarray(at, at + length))
    text += char ?? String.fromCharCode(0xdc00 + bytes[at]!)
    at += char === undefined ? 1 : length
  }
  return text
}

const sequenceLength = (lead: number): number => (lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4)

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}
