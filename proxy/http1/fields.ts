/**
 * The field lines of a head (RFC 9112 section 5), read in one pass over its text, one character for each byte. What is
 * kept of them are positions: text is cut out only for the fields that somebody asks for.
 */

/** tchar of RFC 9110 section 5.6.2. */
const tokens = table("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

function table(characters: string): Uint8Array {
  const marks = new Uint8Array(256)
  for (let i = 0; i < characters.length; i++) marks[characters.charCodeAt(i)] = 1
  return marks
}

export const isToken = (code: number): boolean => tokens[code] === 1

export function isTokenText(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 255 || !isToken(text.charCodeAt(i))) return false
  return text !== ''
}

/** HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5). */
const isValue = (code: number): boolean => (code >= 32 && code !== 127) || code === 9

/** Whether text may stand as a field value: all of it is one byte a character, and none of it ends the line. */
export const isFieldValue = (text: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(text)

/** How a message says where its body ends (RFC 9112 section 6). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' }

export const noBody: Framing = { kind: 'none' }
const chunkedBody: Framing = { kind: 'chunked' }

/** What the lines say, and where each one that travels on stands. */
export interface Fields {
  readonly text: string
  /** Four numbers a field: start and end of its name, start and end of its value. Hop-by-hop fields are left out. */
  readonly at: readonly number[]
  readonly framing: Framing | undefined
  readonly host: string | undefined
  /** Options of Connection, lower case. */
  readonly connection: readonly string[]
  readonly expect: string | undefined
  /** What Upgrade asks for, lower case, where Connection names it too; only then it is one of the lines. */
  readonly upgrade: string | undefined
  /** Names of those that no hop of HTTP/2 may index (RFC 7541 section 7.1.3). Default none. */
  readonly secret?: readonly string[] | undefined
}

export interface FieldsFault {
  readonly code: 'bad_request' | 'head_too_large'
  readonly detail: string
}

const bad = (detail: string): FieldsFault => ({ code: 'bad_request', detail })

const none: readonly string[] = []

/** The names that `special` knows, with hyphens. */
const specialNames = [
  ...['host', 'content-length', 'transfer-encoding', 'connection', 'expect', 'upgrade', 'te', 'trailer', 'keep-alive'],
  ...['http2-settings', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'x-forwarded-client-cert'],
]

/** Their lengths and first letters: other fields cost no more than their characters. */
const maybeSpecial = new Uint8Array(64 * 32)
for (const name of specialNames) maybeSpecial[(name.length << 5) | (name.charCodeAt(0) & 31)] = 1

/** Reads field lines from `from` to the blank line at the end of `text`. */
export function readFields(text: string, from: number, maxFields: number): Fields | FieldsFault {
  const at: number[] = []
  const end = text.length - 2
  let framing: Framing | undefined
  let host: string | undefined
  let connection: readonly string[] = none
  let expect: string | undefined
  let upgradeAt: readonly number[] | undefined
  let count = 0
  let i = from
  while (i < end) {
    if (++count > maxFields) return { code: 'head_too_large', detail: `more than ${maxFields} fields` }
    const nameStart = i
    while (tokens[text.charCodeAt(i)] === 1) i++
    const nameEnd = i
    if (nameEnd === nameStart) return bad('a field line that does not begin with a name')
    if (text.charCodeAt(i) !== 58) return bad('a field name that is not a token followed by a colon')
    i++
    while (isBlank(text.charCodeAt(i))) i++
    const valueStart = i
    while (isValue(text.charCodeAt(i))) i++
    if (text.charCodeAt(i) !== 13 || text.charCodeAt(i + 1) !== 10) return bad('a field value with a control character')
    let valueEnd = i
    while (valueEnd > valueStart && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--
    i += 2

    const looks = ((nameEnd - nameStart) << 5) | (text.charCodeAt(nameStart) & 31)
    const name = maybeSpecial[looks] === 1 ? special(text.slice(nameStart, nameEnd)) : 'other'
    switch (name) {
      case 'other':
        at.push(nameStart, nameEnd, valueStart, valueEnd)
        break
      case 'dropped':
        break
      case 'host':
        if (host !== undefined) return bad('more than one Host')
        host = text.slice(valueStart, valueEnd)
        break
      case 'content-length': {
        if (framing) return bad('more than one Content-Length or Transfer-Encoding')
        const length = contentLength(text, valueStart, valueEnd)
        if (length < 0) return bad('a Content-Length that is not one plain number')
        framing = { kind: 'length', length }
        at.push(nameStart, nameEnd, valueStart, valueEnd)
        break
      }
      case 'transfer-encoding':
        if (framing) return bad('more than one Content-Length or Transfer-Encoding')
        if (text.slice(valueStart, valueEnd) !== 'chunked') return bad('a Transfer-Encoding other than chunked')
        framing = chunkedBody
        break
      case 'connection': {
        const options = readOptions(text.slice(valueStart, valueEnd))
        if (!options) return bad('a Connection field that is not a list of names')
        connection = connection.length === 0 ? options : [...connection, ...options]
        break
      }
      case 'expect':
        if (expect !== undefined) return bad('more than one Expect')
        expect = text.slice(valueStart, valueEnd).toLowerCase()
        break
      case 'upgrade':
        if (upgradeAt) return bad('more than one Upgrade')
        upgradeAt = [nameStart, nameEnd, valueStart, valueEnd]
        break
    }
  }
  const named = connection.length === 0 ? at : withoutNamed(text, at, connection)
  if (!upgradeAt || !connection.includes('upgrade')) {
    return { text, at: named, framing, host, connection, expect, upgrade: undefined }
  }
  const upgrade = text.slice(upgradeAt[2], upgradeAt[3]).toLowerCase()
  return { text, at: [...named, ...upgradeAt], framing, host, connection, expect, upgrade }
}

const isBlank = (code: number): boolean => code === 32 || code === 9

export type Special =
  | 'other'
  | 'dropped'
  | 'host'
  | 'content-length'
  | 'transfer-encoding'
  | 'connection'
  | 'expect'
  | 'upgrade'

/**
 * Fields that mean something to us. An underscore counts as a hyphen for names that never travel on, as servers that
 * read CGI variables see no difference between the two.
 */
export function special(name: string): Special {
  const lower = name.toLowerCase()
  switch (lower) {
    case 'host':
    case 'content-length':
    case 'transfer-encoding':
    case 'connection':
    case 'expect':
    case 'upgrade':
      return lower
  }
  switch (lower.replaceAll('_', '-')) {
    // Hop-by-hop (RFC 9110 section 7.6.1), with the older names that still travel.
    case 'te':
    case 'trailer':
    case 'keep-alive':
    case 'http2-settings':
    case 'proxy-connection':
    case 'proxy-authenticate':
    case 'proxy-authorization':
      return 'dropped'
    // A caller's own claim to an identity is no part of what it asks.
    case 'x-forwarded-client-cert':
      return 'dropped'
    // Framing spelled so that only a careless server would take it for framing.
    case 'content-length':
    case 'transfer-encoding':
      return 'dropped'
  }
  return 'other'
}

/** RFC 9110 section 8.6, without the leading zeros that some take for octal. -1 for anything else. */
export function contentLength(text: string, from: number, to: number): number {
  if (to === from || to - from > 15) return -1
  if (to - from > 1 && text.charCodeAt(from) === 48) return -1
  let length = 0
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
  }
  return length
}

const keepAlive: readonly string[] = ['keep-alive']
const close: readonly string[] = ['close']

function readOptions(value: string): readonly string[] | undefined {
  if (value === 'keep-alive') return keepAlive
  if (value === 'close') return close
  const options: string[] = []
  for (const item of value.toLowerCase().split(',')) {
    const option = item.trim()
    if (option === '') continue
    if (!isTokenText(option)) return undefined
    options.push(option)
  }
  return options
}

/** Fields that Connection names are hop-by-hop too (RFC 9110 section 7.6.1). */
function withoutNamed(text: string, at: readonly number[], named: readonly string[]): readonly number[] {
  if (named.every((option) => option === 'close' || option === 'keep-alive' || option === 'content-length')) return at
  const left: number[] = []
  for (let i = 0; i < at.length; i += 4) {
    const name = text.slice(at[i], at[i + 1]).toLowerCase()
    if (name === 'content-length' || !named.includes(name)) left.push(at[i]!, at[i + 1]!, at[i + 2]!, at[i + 3]!)
  }
  return left
}

/** One field's value, repeated ones joined (RFC 9110 section 5.3), without building them all. `name` is lower case. */
export function fieldValue(fields: Fields, name: string): string | undefined {
  const { text, at } = fields
  let value: string | undefined
  for (let i = 0; i < at.length; i += 4) {
    if (at[i + 1]! - at[i]! !== name.length || !isNamed(text, at[i]!, name)) continue
    const one = text.slice(at[i + 2], at[i + 3])
    value = value === undefined ? one : `${value}, ${one}`
  }
  return value
}

function isNamed(text: string, from: number, lowerName: string): boolean {
  for (let i = 0; i < lowerName.length; i++) {
    const code = text.charCodeAt(from + i)
    const lower = code >= 65 && code <= 90 ? code + 32 : code
    if (lower !== lowerName.charCodeAt(i)) return false
  }
  return true
}

/** Most fields that are looked through for repeated ones two by two. */
const fewFields = 24

/**
 * Gives each field by its lower-case name without building a map of them. Where there are many, or a name is repeated
 * and its values have to be joined, it gives nothing and returns false.
 */
export function eachField({ text, at }: Fields, visit: (name: string, value: string) => void): boolean {
  if (at.length > 4 * fewFields) return false
  const names: string[] = []
  for (let i = 0; i < at.length; i += 4) {
    const name = text.slice(at[i], at[i + 1]).toLowerCase()
    if (names.includes(name)) return false
    names.push(name)
  }
  for (let i = 0; i < names.length; i++) visit(names[i]!, text.slice(at[4 * i + 2], at[4 * i + 3]))
  return true
}

/** All fields by lower-case name. Without a prototype, as a caller may well name one `constructor`. */
export function fieldMap(fields: Fields): Readonly<Record<string, string>> {
  const { text, at } = fields
  const map: Record<string, string> = Object.create(null)
  for (let i = 0; i < at.length; i += 4) {
    const name = text.slice(at[i], at[i + 1]).toLowerCase()
    const value = text.slice(at[i + 2], at[i + 3])
    const before = map[name]
    map[name] = before === undefined ? value : `${before}, ${value}`
  }
  return map
}
