/** Values as COPY reads them in PostgreSQL's text format: tabs between columns, a line feed after each row. */

import { toHex, utf8 } from '../../core/bytes.ts'

export const nothing = '\\N'

const special = /[\\\t\n\r\b\f\v]/

export function textField(text: string | null): string {
  if (text === null) return nothing
  return special.test(text) ? text.replace(/[\\\t\n\r\b\f\v]/g, escaped) : text
}

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '\b': '\\b',
  '\f': '\\f',
  '\v': '\\v',
}
const escaped = (character: string): string => escapes[character]!

export const bytesField = (bytes: Uint8Array): string => `\\\\x${toHex(bytes)}`

/** An array of texts. */
export const textsField = (texts: readonly string[]): string =>
  textField(`{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`)

/** How ids of requests and traces are kept: fewer bytes for the shapes that they nearly always have. */
export function idField(id: string | null): string {
  return id === null ? nothing : `\\\\x${idHex(id)}`
}

/** An id's bytes in hex, as `request_key` and `trace_key` of the view `records` have them. */
export function idHex(id: string): string {
  if (uuid.test(id)) return `00${id.replaceAll('-', '')}`
  return hex.test(id) ? `01${id}` : `02${toHex(utf8(id))}`
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const hex = /^(?:[0-9a-f]{2}){1,64}$/
