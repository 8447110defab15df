/**
 * One form of a path, so that what a rule matched is what the upstream serves (RFC 3986 section 6.2.2, and our own):
 *
 * - refused: a raw character outside printable ASCII, a backslash (raw or as `%5C`), an encoded slash (`%2F`), an
 *   encoded control character, an escape that is not two hex digits, escapes that are not UTF-8 (overlong forms and
 *   surrogates too), and dot segments with parameters (`..;x`), which some servers take for dots;
 * - escapes are decoded once, and only those of unreserved characters; the others get upper-case digits. So `%2541`
 *   stays as it is, and means the three characters `%41` to whoever decodes it;
 * - printable characters that a path may not hold as they are (`" < > [ ] ^ { | }` and the backtick) are escaped;
 * - then repeated slashes become one, and then `.` and `..` are removed (RFC 3986 section 5.2.4), also those that were
 *   written `%2e`; `..` at the root stays there.
 *
 * The result is its own normal form. A query is checked and left as it is: escapes must be whole, never `%00`, and UTF-8.
 */

export type Normalised = { readonly path: string } | { readonly wrong: string }

const plain = 1
const unreserved = 2
const escaped = 3

/** What each character of a path is: 0 is refused. */
const kinds = new Uint8Array(128)
for (const character of "!$&'()*+,;=:@") kinds[character.charCodeAt(0)] = plain
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~') {
  kinds[character.charCodeAt(0)] = unreserved
}
for (const character of '"<>[]^`{|}') kinds[character.charCodeAt(0)] = escaped

const slash = 47
const percent = 37
const dot = 46

export function normalisePath(raw: string): Normalised {
  if (raw.charCodeAt(0) !== slash) return { wrong: 'a path that does not begin with a slash' }
  if (isNormal(raw)) return { path: raw }
  const text = decodeOnce(raw)
  if (typeof text !== 'string') return text
  return removeDots(text.replaceAll(/\/{2,}/g, '/'))
}

/** Nothing to decode, escape, merge or remove: nearly every path there is. */
function isNormal(raw: string): boolean {
  let before = 0
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i)
    if (code === slash || code === dot) {
      if (before === slash) return false
    } else {
      const kind = code < 128 ? kinds[code] : 0
      if (kind !== plain && kind !== unreserved) return false
    }
    before = code
  }
  return true
}

function decodeOnce(raw: string): string | { readonly wrong: string } {
  let text = ''
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i)
    if (code === percent) {
      const value = escapeAt(raw, i)
      if (value < 0) return { wrong: 'a bad escape in the path' }
      if (value < 32 || value === 127) return { wrong: 'an encoded control character in the path' }
      if (value === slash || value === 92) return { wrong: 'an encoded slash in the path' }
      text += value < 128 && kinds[value] === unreserved ? String.fromCharCode(value) : escapeOf(value)
      i += 2
      continue
    }
    const kind = code === slash ? plain : code < 128 ? kinds[code] : 0
    if (kind === 0) return { wrong: 'a character in the path that may not be there' }
    text += kind === escaped ? escapeOf(code) : raw[i]
  }
  return isUtf8(raw) ? text : { wrong: 'escapes in the path that are not UTF-8' }
}

/** The byte that an escape stands for, or -1. */
function escapeAt(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at + 1))
  const low = hexDigit(text.charCodeAt(at + 2))
  return high < 0 || low < 0 ? -1 : high * 16 + low
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  if (code >= 65 && code <= 70) return code - 55
  if (code >= 97 && code <= 102) return code - 87
  return -1
}

const escapeOf = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`

/** Whether a text of ASCII and whole escapes decodes to UTF-8. */
function isUtf8(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

function removeDots(path: string): Normalised {
  if (!path.includes('/.')) return { path }
  const kept: string[] = []
  const segments = path.slice(1).split('/')
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!
    if (/^\.{1,2};/.test(segment)) return { wrong: 'a dot segment with parameters' }
    const last = i === segments.length - 1
    if (segment === '..') kept.pop()
    if (segment !== '.' && segment !== '..') kept.push(segment)
    else if (last) kept.push('')
  }
  return { path: `/${kept.join('/')}` }
}

/** Why a query cannot stand, or undefined. It holds printable ASCII only, and no fragment. */
export function queryFault(query: string): string | undefined {
  let escapes = false
  for (let i = 0; i < query.length; i++) {
    const code = query.charCodeAt(i)
    if (code <= 32 || code >= 127 || code === 35) return 'a character in the query that may not be there'
    if (code !== percent) continue
    const value = escapeAt(query, i)
    if (value < 0) return 'a bad escape in the query'
    if (value === 0) return 'an encoded NUL in the query'
    escapes = true
  }
  return escapes && !isUtf8(query) ? 'escapes in the query that are not UTF-8' : undefined
}
