/** Trailer fields: the few rules by which they travel on, in either direction and from either protocol. */

import { isFieldValue, isTokenText, special } from './fields.ts'

/** Names and values by turns, names in lower case. */
export type Trailers = readonly string[]

/** Longest trailer section, in bytes of lines, and most fields of one. What is more is an error of whoever sent it. */
export const maxTrailerBytes = 8192
const maxTrailers = 64

/**
 * What routes, frames, authenticates or vouches is no trailer's to say (RFC 9110 section 6.5.1): it would come after it was
 * judged. Undefined where nothing is left.
 */
const forbidden: ReadonlySet<string> = new Set([
  ...['authorization', 'cookie', 'set-cookie', 'content-type', 'content-encoding', 'content-range', 'cache-control'],
  ...['max-forwards', 'range', 'age', 'date', 'expires', 'location', 'retry-after', 'vary', 'www-authenticate'],
  ...['x-request-id', 'x-writ-decision'],
])

const travels = (name: string): boolean => special(name) === 'other' && !forbidden.has(name.replaceAll('_', '-'))

/** Trailers that came as a list, or what is wrong with them. */
export function readTrailers(raw: readonly string[]): Trailers | { readonly wrong: string } {
  if (raw.length / 2 > maxTrailers) return { wrong: 'too many trailer fields' }
  const kept: string[] = []
  let bytes = 0
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    const value = raw[i + 1]!
    bytes += name.length + value.length + 4
    if (!isTokenText(name) || !isFieldValue(value)) return { wrong: 'a trailer field that may not stand in one' }
    if (travels(name)) kept.push(name, value)
  }
  return bytes > maxTrailerBytes ? { wrong: 'trailer fields without end' } : kept
}

/** The same from the lines of a chunked body, which were read strictly before. */
export function trailersOf(lines: string): Trailers | { readonly wrong: string } {
  if (lines === '') return []
  const raw: string[] = []
  for (const line of lines.slice(0, -2).split('\r\n')) {
    const colon = line.indexOf(':')
    raw.push(line.slice(0, colon), line.slice(colon + 1).replaceAll(/^[ \t]+|[ \t]+$/g, ''))
  }
  return readTrailers(raw)
}

/** The end of a chunked body with its trailers. */
export function chunkedEnd(trailers: Trailers): string {
  let text = '0\r\n'
  for (let i = 0; i < trailers.length; i += 2) text += `${trailers[i]}: ${trailers[i + 1]}\r\n`
  return `${text}\r\n`
}
