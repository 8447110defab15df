/** Rego's values to and from JSON. JSON has no sets and only text for keys, so the way there loses those. */

import type { Json } from '../../core/json.ts'
import { objectOf, RegoObject, RegoSet, type Value } from './model.ts'
import { isNumber, type RegoNumber, readNumber, toDouble, writeNumber } from './number.ts'
import { formatValue, parseValue } from './text.ts'

/** Plain data as a value. Members that are undefined are left out. Throws a TypeError on NaN and the infinities. */
export function fromJson(json: Json): Value {
  if (json === null || typeof json === 'boolean' || typeof json === 'string') return json
  if (typeof json === 'number') return fromDouble(json)
  if (Array.isArray(json)) return (json as readonly Json[]).map(fromJson)
  const entries: [Value, Value][] = []
  for (const [key, member] of Object.entries(json)) if (member !== undefined) entries.push([key, fromJson(member)])
  return objectOf(entries)
}

/** The number that JavaScript writes for a double. */
export function fromDouble(double: number): RegoNumber {
  return readNumber(writeNumber(double))!
}

/**
 * Sets become sorted arrays and keys that are no text become their own text, as OPA answers over HTTP. A number becomes
 * the nearest double: what must stay exact is read from `formatJson` instead.
 */
export function toJson(value: Value): Json {
  if (isNumber(value)) return toDouble(value)
  if (value instanceof RegoSet) return value.items.map(toJson)
  if (value instanceof RegoObject) {
    // Built by entries, so that a key `__proto__` is a member like any other.
    return Object.fromEntries(value.entries.map(([key, member]) => [keyText(key), toJson(member)]))
  }
  return Array.isArray(value) ? (value as readonly Value[]).map(toJson) : (value as null | boolean | string)
}

/** The same as JSON text, without spaces, in which numbers keep their digits. */
export function formatJson(value: Value): string {
  if (value instanceof RegoSet) return `[${value.items.map(formatJson).join(',')}]`
  if (value instanceof RegoObject) {
    return `{${value.entries.map(([key, member]) => `${JSON.stringify(keyText(key))}:${formatJson(member)}`).join(',')}}`
  }
  if (Array.isArray(value)) return `[${(value as readonly Value[]).map(formatJson).join(',')}]`
  return formatValue(value)
}

const keyText = (key: Value): string => (typeof key === 'string' ? key : formatJson(key))

/** JSON text as a value that keeps its numbers. Throws a SyntaxError, also on what only OPA's own syntax has. */
export function parseJsonValue(text: string): Value {
  JSON.parse(text) // Refuses sets, and keys that are no text.
  return parseValue(text)
}
