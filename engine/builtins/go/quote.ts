/** Text in quotes as Go's strconv writes it, and values as OPA prints a term, which uses it. */

import { isArray, isNumber, RegoObject, RegoSet, type Value, writeNumber } from '../../value.ts'

const letters: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
}

/** strconv.IsPrint: letters, marks, numbers, punctuation, symbols, and of all spaces the plain one. */
export const isPrint = (char: string): boolean => /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(char)

/** strconv.Quote, or QuoteToASCII; `quote` is the sign at both ends. */
export function goQuote(text: string, quote: '"' | "'" = '"', ascii: boolean = false): string {
  let out = quote as string
  for (const char of text) out += escaped(char, quote, ascii)
  return out + quote
}

function escaped(char: string, quote: string, ascii: boolean): string {
  if (char === quote) return `\\${char}`
  const letter = letters[char]
  if (letter !== undefined) return letter
  const code = char.codePointAt(0)!
  if (isPrint(char) && !(ascii && code > 0x7f)) return char
  const hex = (digits: number): string => code.toString(16).padStart(digits, '0')
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}` // A byte that is no UTF-8.
  if (code < 0x20 || code === 0x7f) return `\\x${hex(2)}`
  return code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`
}

/** What `String()` of an OPA term gives. */
export function termText(value: Value): string {
  if (typeof value === 'string') return goQuote(value)
  if (isNumber(value)) return writeNumber(value)
  if (isArray(value)) return `[${value.map(termText).join(', ')}]`
  if (value instanceof RegoSet) return value.size === 0 ? 'set()' : `{${value.items.map(termText).join(', ')}}`
  if (value instanceof RegoObject) {
    return `{${value.entries.map(([key, member]) => `${termText(key)}: ${termText(member)}`).join(', ')}}`
  }
  return String(value)
}
