/** What a template calculates with, and how it is printed and judged. */

import { compareStrings } from '../../value.ts'
import { BuiltinError } from '../builtin.ts'
import { formatFloat } from '../go/float.ts'

/** Undefined is no value. A number of the policy's is its text, as Go's json.Number; those of the template are numbers. */
export type TemplateValue =
  | undefined
  | null
  | boolean
  | string
  | bigint
  | number
  | JsonNumber
  | readonly TemplateValue[]
  | ReadonlyMap<string, TemplateValue>

export interface JsonNumber {
  readonly number: string
}

export const isJsonNumber = (value: TemplateValue): value is JsonNumber =>
  typeof value === 'object' && value !== null && 'number' in value

export const wrong = (text: string): BuiltinError => new BuiltinError(`template: ${text}`)

/** Null and what is missing have no value; Rego says undefined. */
export const printed = (value: TemplateValue): string =>
  value === undefined || value === null ? '<no value>' : goText(value)

/** As %v of Go's fmt. */
export function goText(value: TemplateValue): string {
  if (value === undefined || value === null) return '<nil>'
  if (typeof value === 'number') return formatFloat(value, 'g', -1)
  if (isJsonNumber(value)) return value.number
  if (Array.isArray(value)) return `[${(value as readonly TemplateValue[]).map(goText).join(' ')}]`
  if (!(value instanceof Map)) return String(value)
  const sorted = [...(value as ReadonlyMap<string, TemplateValue>)].sort(([a], [b]) => compareStrings(a, b))
  return `map[${sorted.map(([key, member]) => `${key}:${goText(member)}`).join(' ')}]`
}

/** Not empty; a number of the policy's is text to Go, so that 0 is true. */
export function isTrue(value: TemplateValue): boolean {
  if (isJsonNumber(value)) return value.number !== ''
  if (Array.isArray(value)) return value.length > 0
  return value instanceof Map ? value.size > 0 : Boolean(value)
}
