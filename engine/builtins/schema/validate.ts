/** Does a document match a schema? Every way in which it does not, in OPA's words and with OPA's choice among `anyOf`. */

import {
  compareNumbers,
  isArray,
  isNumber,
  type RegoNumber,
  RegoObject,
  toDouble,
  toInteger,
  type Value,
  writeNumber,
} from '../../value.ts'
import { formatFloat } from '../go/float.ts'
import { isFormat } from './formats.ts'
import type { Schema } from './schema.ts'
import { plainText } from './words.ts'

export interface Mismatch {
  readonly type: string
  readonly field: string
  readonly desc: string
}

/** What one schema says of one value. The score tells which of several came closest. */
class Result {
  readonly mismatches: Mismatch[] = []
  readonly spend: (steps: number) => void
  score = 0

  constructor(spend: (steps: number) => void) {
    this.spend = spend
  }

  get valid(): boolean {
    return this.mismatches.length === 0
  }

  add(type: string, path: string, desc: string): void {
    this.mismatches.push({ type, field: path.replace(/^\(Root\)\./, ''), desc })
    this.score -= 2
  }

  merge(other: Result): void {
    this.mismatches.push(...other.mismatches)
    this.score += other.score
  }
}

/** `spend` hears of each schema that a value is held against. */
export function validate(schema: Schema, document: Value, spend: (steps: number) => void): readonly Mismatch[] {
  return check(spend, schema, document, '(Root)').mismatches
}

function check(spend: (steps: number) => void, schema: Schema, value: Value, path: string): Result {
  const result = new Result(spend)
  checkInto(result, schema, value, path)
  return result
}

function checkInto(result: Result, schema: Schema, value: Value, path: string): void {
  result.spend(8)
  if (schema.pass !== undefined) {
    if (!schema.pass) result.add('false', path, 'False always fails validation')
    return
  }
  if (schema.ref) {
    checkInto(result, schema.ref, value, path)
    return
  }
  const type = jsonType(value)
  const fits = schema.types.includes(type) || (type === 'integer' && schema.types.includes('number'))
  if (schema.types.length > 0 && !fits) {
    const expected = schema.types.length > 1 ? `[${schema.types.join(',')}]` : schema.types[0]
    result.add('invalid_type', path, `Invalid type. Expected: ${expected}, given: ${type}`)
    return
  }
  checkCombinations(result, schema, value, path)
  if (isArray(value)) checkArray(result, schema, value, path)
  if (value instanceof RegoObject) checkObject(result, schema, value, path)
  if (isNumber(value)) checkNumber(result, schema, value, path)
  checkValue(result, schema, value, path)
  if (typeof value === 'string') checkString(result, schema, value, path)
  if (value instanceof RegoObject) {
    for (const [key, property] of schema.properties) {
      const member = value.get(key)
      if (member !== undefined) checkInto(result, property, member, `${path}.${key}`)
    }
  }
  result.score++
}

function jsonType(value: Value): string {
  if (value === null) return 'null'
  if (isNumber(value)) return toInteger(value) === undefined ? 'number' : 'integer'
  return isArray(value) ? 'array' : value instanceof RegoObject ? 'object' : typeof value
}

function checkCombinations(result: Result, schema: Schema, value: Value, path: string): void {
  if (schema.anyOf.length > 0) {
    const found = firstValid(result.spend, schema.anyOf, value, path)
    if (!found.valid) {
      result.add('number_any_of', path, 'Must validate at least one schema (anyOf)')
      result.merge(found)
    }
  }
  if (schema.oneOf.length > 0) {
    const results = schema.oneOf.map((one) => check(result.spend, one, value, path))
    const valid = results.filter((one) => one.valid).length
    if (valid !== 1) {
      result.add('number_one_of', path, 'Must validate one and only one schema (oneOf)')
      if (valid === 0) result.merge(closest(results))
    }
  }
  const all = schema.allOf.map((one) => check(result.spend, one, value, path))
  for (const one of all) result.merge(one)
  if (all.some((one) => !one.valid)) result.add('number_all_of', path, 'Must validate all the schemas (allOf)')
  if (schema.not && check(result.spend, schema.not, value, path).valid) {
    result.add('number_not', path, 'Must not validate the schema (not)')
  }
  if (value instanceof RegoObject) checkDependencies(result, schema, value, path)
  if (schema.if) checkCondition(result, schema, check(result.spend, schema.if, value, path).valid, value, path)
  result.score++
}

/** The first that fits, else the one that came closest. */
function firstValid(spend: (steps: number) => void, schemas: readonly Schema[], value: Value, path: string): Result {
  const results: Result[] = []
  for (const one of schemas) {
    const result = check(spend, one, value, path)
    if (result.valid) return result
    results.push(result)
  }
  return closest(results)
}

const closest = (results: readonly Result[]): Result =>
  results.reduce((best, one) => (one.score > best.score ? one : best))

function checkDependencies(result: Result, schema: Schema, value: RegoObject, path: string): void {
  for (const [key, dependency] of schema.dependencies) {
    if (!value.has(key)) continue
    if (!Array.isArray(dependency)) checkInto(result, dependency as Schema, value, path)
    else {
      for (const other of dependency as readonly string[]) {
        if (!value.has(other)) result.add('missing_dependency', path, `Has a dependency on ${other}`)
      }
    }
  }
}

function checkCondition(result: Result, schema: Schema, holds: boolean, value: Value, path: string): void {
  const chosen = holds ? schema.then : schema.else
  const then = chosen && check(result.spend, chosen, value, path)
  if (!then || then.valid) return
  if (holds) result.add('condition_then', path, 'Must validate "then" as "if" was valid')
  else result.add('condition_else', path, 'Must validate "else" as "if" was not valid')
  result.merge(then)
}

function checkValue(result: Result, schema: Schema, value: Value, path: string): void {
  const field = path.replace(/^\(Root\)\./, '')
  if (schema.const !== undefined && plainText(value) !== schema.const) {
    result.add('const', path, `${field} does not match: ${schema.const}`)
  }
  if (schema.enum && !schema.enum.includes(plainText(value))) {
    result.add('enum', path, `${field} must be one of the following: ${schema.enum.join(', ')}`)
  }
  if (schema.format !== undefined && typeof value === 'string' && !isFormat(schema.format, value)) {
    result.add('format', path, `Does not match format '${schema.format}'`)
  }
  result.score++
}

function checkArray(result: Result, schema: Schema, items: readonly Value[], path: string): void {
  const { items: schemas, additionalItems: more } = schema
  if (Array.isArray(schemas) && schemas.length > 0) {
    items.forEach((item, i) => {
      const one = schemas[i] ?? (typeof more === 'object' ? more : undefined)
      if (one) result.merge(check(result.spend, one, item, `${path}.${i}`))
    })
    if (items.length > schemas.length && more === false) {
      result.add('array_no_additional_items', path, 'No additional items allowed on array')
    }
  } else if (schemas && !Array.isArray(schemas)) {
    items.forEach((item, i) => {
      result.merge(check(result.spend, schemas, item, `${path}.${i}`))
    })
  }
  if (items.length < (schema.minItems ?? 0)) {
    result.add('array_min_items', path, `Array must have at least ${schema.minItems} items`)
  }
  if (items.length > (schema.maxItems ?? items.length)) {
    result.add('array_max_items', path, `Array must have at most ${schema.maxItems} items`)
  }
  if (schema.uniqueItems) checkUnique(result, items, path)
  if (schema.contains) {
    const found = items.length === 0 ? undefined : firstOf(result.spend, items, schema.contains, path)
    if (!found?.valid) {
      result.add('contains', path, 'At least one of the items must match')
      if (found) result.merge(found)
    }
  }
  result.score++
}

function firstOf(spend: (steps: number) => void, items: readonly Value[], schema: Schema, path: string): Result {
  const results: Result[] = []
  for (const [i, item] of items.entries()) {
    const result = check(spend, schema, item, `${path}.${i}`)
    if (result.valid) return result
    results.push(result)
  }
  return closest(results)
}

function checkUnique(result: Result, items: readonly Value[], path: string): void {
  const places = new Map<string, number>()
  for (const [i, item] of items.entries()) {
    const text = plainText(item)
    const before = places.get(text)
    if (before !== undefined) result.add('unique', path, `array items[${before},${i}] must be unique`)
    places.set(text, i)
  }
}

function checkObject(result: Result, schema: Schema, value: RegoObject, path: string): void {
  if (value.size < (schema.minProperties ?? 0)) {
    result.add('array_min_properties', path, `Must have at least ${schema.minProperties} properties`)
  }
  if (value.size > (schema.maxProperties ?? value.size)) {
    result.add('array_max_properties', path, `Must have at most ${schema.maxProperties} properties`)
  }
  for (const key of schema.required) {
    if (value.has(key)) result.score++
    else result.add('required', path, `${key} is required`)
  }
  for (const [key, member] of value.entries as readonly (readonly [string, Value])[]) {
    const patterned = schema.patterns.filter(([regex]) => regex.matcher(key).find())
    for (const [, one] of patterned) result.merge(check(result.spend, one, member, `${path}.${key}`))
    if (patterned.length > 0) result.score++
    else if (!schema.properties.some(([name]) => name === key)) checkAdditional(result, schema, key, member, path)
  }
  if (schema.propertyNames) {
    for (const [key] of value.entries) {
      const named = check(result.spend, schema.propertyNames, key, path)
      if (named.valid) continue
      result.add('invalid_property_name', path, `Property name of "${key}" does not match`)
      result.merge(named)
    }
  }
  result.score++
}

function checkAdditional(result: Result, schema: Schema, key: string, member: Value, path: string): void {
  const additional = schema.additionalProperties
  if (additional === false) {
    result.add('additional_property_not_allowed', path, `Additional property ${key} is not allowed`)
  } else if (typeof additional === 'object') result.merge(check(result.spend, additional, member, `${path}.${key}`))
}

function checkString(result: Result, schema: Schema, value: string, path: string): void {
  const length = [...value].length
  if (length < (schema.minLength ?? 0)) {
    result.add('string_gte', path, `String length must be greater than or equal to ${schema.minLength}`)
  }
  if (length > (schema.maxLength ?? length)) {
    result.add('string_lte', path, `String length must be less than or equal to ${schema.maxLength}`)
  }
  if (schema.pattern && !schema.pattern.regex.matcher(value).find()) {
    result.add('pattern', path, `Does not match pattern '${schema.pattern.text}'`)
  }
  result.score++
}

function checkNumber(result: Result, schema: Schema, value: RegoNumber, path: string): void {
  const { multipleOf, minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema
  if (multipleOf !== undefined && !isMultiple(value, multipleOf)) {
    result.add('multiple_of', path, `Must be a multiple of ${shown(multipleOf)}`)
  }
  if (maximum !== undefined && compareNumbers(value, maximum) > 0) {
    result.add('number_lte', path, `Must be less than or equal to ${shown(maximum)}`)
  }
  if (exclusiveMaximum !== undefined && compareNumbers(value, exclusiveMaximum) >= 0) {
    result.add('number_lt', path, `Must be less than ${shown(exclusiveMaximum)}`)
  }
  if (minimum !== undefined && compareNumbers(value, minimum) < 0) {
    result.add('number_gte', path, `Must be greater than or equal to ${shown(minimum)}`)
  }
  if (exclusiveMinimum !== undefined && compareNumbers(value, exclusiveMinimum) <= 0) {
    result.add('number_gt', path, `Must be greater than ${shown(exclusiveMinimum)}`)
  }
  result.score++
}

/** Ten digits, as a big.Float prints. */
const shown = (number: RegoNumber): string => formatFloat(toDouble(number), 'g', 10)

/** Exactly: both are whole numbers of the smaller one's last decimal place. */
function isMultiple(value: RegoNumber, of: RegoNumber): boolean {
  const [a, b] = [decimal(value), decimal(of)]
  const place = Math.min(a.exponent, b.exponent)
  if (Math.max(a.exponent, b.exponent) - place > 4096) return false
  const whole = ({ digits, exponent }: { digits: bigint; exponent: number }): bigint =>
    digits * 10n ** BigInt(exponent - place)
  return whole(a) % whole(b) === 0n
}

function decimal(number: RegoNumber): { digits: bigint; exponent: number } {
  const [, sign = '', whole = '0', fraction = '', power = ''] =
    /^(-?)([0-9]+)\.?([0-9]*)(?:[eE]([+-]?[0-9]*))?$/.exec(writeNumber(number)) ?? []
  return { digits: BigInt(sign + whole + fraction), exponent: (Number(power) || 0) - fraction.length }
}
