/** Whether the first bytes of a connection are HTTP's: for ports of which nobody has said what is spoken there. */

import { isToken } from './fields.ts'
import { maxMethod } from './request.ts'

/** Longest first line that is waited for, in bytes. What is longer is passed as bytes. */
const maxLine = 8192

const preface = 'PRI * HTTP/2.0\r\n'

/**
 * HTTP is a whole first line that ends in its version, and nothing less: other protocols begin with words too. `more`
 * where it may still become one.
 */
export function detected(bytes: Uint8Array): 'http' | 'tcp' | 'more' {
  const end = bytes.indexOf(10)
  if (end < 0 && bytes.length > maxLine) return 'tcp'
  const line = text(bytes, 0, end < 0 ? bytes.length : end + 1)
  if (preface.startsWith(line)) return line.length === preface.length ? 'http' : 'more'
  let i = 0
  while (isToken(line.charCodeAt(i))) i++
  if (i > maxMethod || (i < line.length && (i === 0 || line[i] !== ' '))) return 'tcp'
  if (end < 0) return 'more'
  return / HTTP\/1\.[01]\r\n$/.test(line) ? 'http' : 'tcp'
}

const text = (bytes: Uint8Array, from: number, to: number): string =>
  new TextDecoder('latin1').decode(bytes.subarray(from, to))
