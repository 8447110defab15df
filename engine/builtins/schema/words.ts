/** What reading and validating share: OPA's words for what is wrong, and values as text that can be compared. */

import { RE2JS } from 're2js'
import { formatJson, fromJson, toJson, type Value } from '../../value.ts'

/** The schema itself is wrong. */
export class SchemaError extends Error {}

export const fail = (text: string): SchemaError => new SchemaError(text)

export const invalidType = (expected: string, given: string): SchemaError =>
  fail(`Invalid type. Expected: ${expected}, given: ${given}`)

export const mustBe = (key: string, what: string): SchemaError => fail(`${key} must be of ${what}`)

/** JSON with sorted keys, in which numbers are doubles: 1 and 1.0 are one text. Escaped as Go escapes it. */
export const plainText = (value: Value): string => escapeHtml(formatJson(fromJson(toJson(value))))

/** Go writes these so that JSON can stand in HTML. */
export const escapeHtml = (json: string): string =>
  json.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)

export function regexOf(pattern: string): RE2JS | undefined {
  try {
    return RE2JS.compile(pattern)
  } catch {
    return undefined
  }
}
