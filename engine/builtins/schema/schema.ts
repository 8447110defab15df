/** A JSON Schema (drafts 4, 6 and 7) as it is validated by, and the reading of its text into that form. */

import type { RE2JS } from 're2js'
import { compareNumbers, isArray, isNumber, type RegoNumber, RegoObject, type Value, writeNumber } from '../../value.ts'
import { makeReferences, type References } from './references.ts'
import { fail, invalidType, mustBe, plainText, regexOf, SchemaError } from './words.ts'

export interface Schema {
  /** `true` and `false` are schemas since draft 6. */
  pass?: boolean
  /** All that is beside a reference is passed over, as the drafts say. */
  ref?: Schema
  types: string[]
  properties: [string, Schema][]
  patterns: [RE2JS, Schema][]
  additionalProperties?: boolean | Schema
  propertyNames?: Schema
  dependencies: [string, readonly string[] | Schema][]
  /** One for all items, or one for each. */
  items?: Schema | Schema[]
  additionalItems?: boolean | Schema
  contains?: Schema
  multipleOf?: RegoNumber
  minimum?: RegoNumber
  exclusiveMinimum?: RegoNumber
  maximum?: RegoNumber
  exclusiveMaximum?: RegoNumber
  minLength?: number
  maxLength?: number
  pattern?: { readonly text: string; readonly regex: RE2JS }
  format?: string
  minProperties?: number
  maxProperties?: number
  required: string[]
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  /** As text in which equal values are equal. */
  const?: string
  enum?: string[]
  oneOf: Schema[]
  anyOf: Schema[]
  allOf: Schema[]
  not?: Schema
  if?: Schema
  then?: Schema
  else?: Schema
}

/** Which keywords there are: a schema that names no draft has those of all. */
type Draft = 4 | 6 | 7 | 'any'

interface Scope {
  readonly draft: Draft
  readonly references: References
  /** Absolute, of the schema around. */
  readonly base: string
  readonly seen: Map<string, Schema>
}

const typeNames = ['array', 'boolean', 'integer', 'number', 'null', 'object', 'string']

/** Throws a SchemaError, in whose words OPA says it. */
export function readSchema(document: Value): Schema {
  const draft = document instanceof RegoObject ? draftOf(document) : 'any'
  if (!(document instanceof RegoObject) && typeof document !== 'boolean') throw new SchemaError('schema is invalid')
  return read(document, { draft, references: makeReferences(document), base: '', seen: new Map() })
}

function draftOf(document: RegoObject): Draft {
  const named = document.get('$schema')
  if (named === undefined) return 'any'
  if (typeof named !== 'string') throw fail('$schema must be of type string')
  const found = /^http:\/\/json-schema\.org\/draft-0([467])\/schema#?$/.exec(named)
  return found ? (Number(found[1]) as 4 | 6 | 7) : 'any'
}

const atLeast = (draft: Draft, least: 6 | 7): boolean => draft === 'any' || draft >= least

function read(node: Value, scope: Scope): Schema {
  const schema: Schema = {
    ...{ types: [], properties: [], patterns: [], dependencies: [], required: [] },
    ...{ oneOf: [], anyOf: [], allOf: [] },
  }
  if (typeof node === 'boolean' && atLeast(scope.draft, 6)) return { ...schema, pass: node }
  if (!(node instanceof RegoObject)) throw fail('Expected: Valid Schema, given: Invalid JSON')
  const id = node.has('id') && scope.draft !== 6 && scope.draft !== 7 ? 'id' : '$id'
  const name = stringAt(node, scope.draft === 4 ? 'id' : id)
  const inner = name === undefined ? scope : { ...scope, base: scope.references.resolve(scope.base, name) }
  readDefinitions(node, inner)
  for (const key of ['title', 'description']) stringAt(node, key)
  const reference = stringAt(node, '$ref')
  if (reference !== undefined)
    return { ...schema, ref: referenced(inner.references.resolve(inner.base, reference), inner) }

  // In OPA's order, which decides what is complained of first.
  readTypes(node, schema)
  readMembers(node, schema, inner)
  readItems(node, schema, inner)
  readNumberKeywords(node, schema, inner.draft)
  readStringKeywords(node, schema)
  readObjectKeywords(node, schema)
  readArrayKeywords(node, schema, inner)
  readValueKeywords(node, schema, inner.draft)
  readCombinations(node, schema, inner)
  return schema
}

/** A reference may lead back to where it stands, so its schema is known before it is read. */
function referenced(target: string, scope: Scope): Schema {
  const known = scope.seen.get(target)
  if (known) return known
  const schema = {} as Schema
  scope.seen.set(target, schema)
  const { node, base } = scope.references.find(target)
  if (!(node instanceof RegoObject) && typeof node !== 'boolean') throw fail('Valid Schema must be of type object')
  return Object.assign(schema, read(node, { ...scope, base }))
}

function readDefinitions(node: RegoObject, scope: Scope): void {
  const definitions = node.get('definitions')
  if (definitions === undefined) return
  if (!(definitions instanceof RegoObject)) throw invalidType('Array Of Schemas', 'definitions')
  for (const [, value] of definitions.entries) {
    if (!isSchema(value)) throw invalidType('Array Of Schemas', 'definitions')
    read(value, scope)
  }
}

function readTypes(node: RegoObject, schema: Schema): void {
  const type = node.get('type')
  if (type === undefined) return
  for (const one of isArray(type) ? type : [type]) {
    if (typeof one !== 'string') throw invalidType('type', 'string/Array Of Strings')
    if (!typeNames.includes(one)) {
      throw fail(
        `has a primitive type that is NOT VALID -- given: /${one}/ Expected valid values are:[${typeNames.join(' ')}]`,
      )
    }
    if (schema.types.includes(one)) throw fail(`${one} type is duplicated`)
    schema.types.push(one)
  }
}

function readMembers(node: RegoObject, schema: Schema, scope: Scope): void {
  const properties = node.get('properties')
  if (properties !== undefined) {
    if (!(properties instanceof RegoObject)) throw fail('Properties must be of type object')
    schema.properties = properties.entries.map(([key, value]) => [key as string, read(value, scope)])
  }
  const additional = schemaOrBoolean(node, 'additionalProperties', scope)
  if (additional !== undefined) schema.additionalProperties = additional
  const patterns = node.get('patternProperties')
  if (patterns !== undefined) {
    if (!(patterns instanceof RegoObject)) throw invalidType('Valid Schema', 'patternProperties')
    schema.patterns = patterns.entries.map(([key, value]) => {
      const regex = regexOf(key as string)
      if (!regex) throw fail(`Invalid regex pattern '${key}'`)
      return [regex, read(value, scope)]
    })
  }
  const names = node.get('propertyNames')
  if (names !== undefined && atLeast(scope.draft, 6)) {
    if (!isSchema(names)) throw invalidType('Valid Schema', 'patternProperties')
    schema.propertyNames = read(names, scope)
  }
  readDependencies(node.get('dependencies'), schema, scope)
}

function readObjectKeywords(node: RegoObject, schema: Schema): void {
  setCount(node, schema, 'minProperties')
  setCount(node, schema, 'maxProperties')
  if ((schema.minProperties ?? 0) > (schema.maxProperties ?? Number.POSITIVE_INFINITY)) {
    throw fail('minProperties cannot be greater than maxProperties')
  }
  for (const key of arrayAt(node, 'required')) {
    if (typeof key !== 'string') throw invalidType('string', 'required')
    if (schema.required.includes(key)) throw fail('required items must be unique')
    schema.required.push(key)
  }
}

function readDependencies(dependencies: Value | undefined, schema: Schema, scope: Scope): void {
  if (dependencies === undefined) return
  if (!(dependencies instanceof RegoObject)) throw fail('dependencies must be of type object')
  schema.dependencies = dependencies.entries.map(([key, value]) => {
    if (isSchema(value)) return [key as string, read(value, scope)]
    if (isArray(value) && value.every((one) => typeof one === 'string')) return [key as string, value]
    throw fail('Dependency must be of type Schema Or Array Of Strings')
  })
}

function readItems(node: RegoObject, schema: Schema, scope: Scope): void {
  const items = node.get('items')
  if (items !== undefined) {
    const all = isArray(items) ? items : [items]
    if (!all.every(isSchema)) throw invalidType('Valid Schema/Array Of Schemas', 'items')
    const each = all.map((one) => read(one, scope))
    schema.items = isArray(items) ? each : each[0]!
  }
  const additional = schemaOrBoolean(node, 'additionalItems', scope)
  if (additional !== undefined) schema.additionalItems = additional
}

function readArrayKeywords(node: RegoObject, schema: Schema, scope: Scope): void {
  setCount(node, schema, 'minItems')
  setCount(node, schema, 'maxItems')
  const unique = node.get('uniqueItems')
  if (unique !== undefined) {
    if (typeof unique !== 'boolean') throw mustBe('uniqueItems', 'a boolean')
    schema.uniqueItems = unique
  }
  const contains = node.get('contains')
  if (contains !== undefined && atLeast(scope.draft, 6)) schema.contains = read(contains, scope)
}

function readNumberKeywords(node: RegoObject, schema: Schema, draft: Draft): void {
  const multiple = node.get('multipleOf')
  if (multiple !== undefined) {
    if (!isNumber(multiple)) throw invalidType('Number', 'multipleOf')
    if (compareNumbers(multiple, 0) <= 0) throw fail('multipleOf must be strictly greater than 0')
    schema.multipleOf = multiple
  }
  readBound(node, schema, draft, 'minimum', 'exclusiveMinimum')
  readBound(node, schema, draft, 'maximum', 'exclusiveMaximum')
}

/** In draft 4 a bound is made exclusive by a boolean beside it; later that is a bound of its own. */
function readBound(
  node: RegoObject,
  schema: Schema,
  draft: Draft,
  bound: 'minimum' | 'maximum',
  exclusive: 'exclusiveMinimum' | 'exclusiveMaximum',
): void {
  const limit = node.get(bound)
  if (limit !== undefined) {
    if (!isNumber(limit)) throw mustBe(bound, 'a Number')
    schema[bound] = limit
  }
  const value = node.get(exclusive)
  if (value === undefined) return
  if (isNumber(value) && draft !== 4) schema[exclusive] = value
  else if (typeof value === 'boolean' && (draft === 4 || draft === 'any')) {
    if (limit === undefined) throw fail(`${exclusive} cannot be used without ${bound}`)
    if (!value) return
    schema[exclusive] = limit as RegoNumber
    delete schema[bound]
  } else throw invalidType(draft === 4 ? 'boolean' : draft === 'any' ? 'boolean/number' : 'number', exclusive)
}

function readStringKeywords(node: RegoObject, schema: Schema): void {
  setCount(node, schema, 'minLength')
  setCount(node, schema, 'maxLength')
  if ((schema.minLength ?? 0) > (schema.maxLength ?? Number.POSITIVE_INFINITY)) {
    throw fail('minLength cannot be greater than maxLength')
  }
  const text = stringAt(node, 'pattern')
  if (text !== undefined) {
    const regex = regexOf(text)
    if (!regex) throw fail('pattern must be a valid regex')
    schema.pattern = { text, regex }
  }
  const format = stringAt(node, 'format')
  if (format !== undefined) schema.format = format
}

function readValueKeywords(node: RegoObject, schema: Schema, draft: Draft): void {
  const value = node.get('const')
  if (value !== undefined && atLeast(draft, 6)) schema.const = plainText(value)
  if (!node.has('enum')) return
  schema.enum = arrayAt(node, 'enum').map(plainText)
  if (new Set(schema.enum).size < schema.enum.length) throw fail('enum items must be unique')
}

function readCombinations(node: RegoObject, schema: Schema, scope: Scope): void {
  for (const key of ['oneOf', 'anyOf', 'allOf'] as const)
    schema[key] = arrayAt(node, key).map((one) => read(one, scope))
  for (const key of atLeast(scope.draft, 7) ? (['not', 'if', 'then', 'else'] as const) : (['not'] as const)) {
    const value = node.get(key)
    if (value === undefined) continue
    if (!isSchema(value)) throw mustBe(key, 'an object')
    schema[key] = read(value, scope)
  }
}

const isSchema = (value: Value): boolean => typeof value === 'boolean' || value instanceof RegoObject

function schemaOrBoolean(node: RegoObject, key: string, scope: Scope): boolean | Schema | undefined {
  const value = node.get(key)
  if (value === undefined || typeof value === 'boolean') return value
  if (!(value instanceof RegoObject)) throw invalidType('boolean/Valid Schema', key)
  return read(value, scope)
}

function stringAt(node: RegoObject, key: string): string | undefined {
  const value = node.get(key)
  if (value !== undefined && typeof value !== 'string') throw invalidType('string', key)
  return value
}

function arrayAt(node: RegoObject, key: string): readonly Value[] {
  const value = node.get(key)
  if (value !== undefined && !isArray(value)) throw mustBe(key, 'an array')
  return value ?? []
}

type Count = 'minLength' | 'maxLength' | 'minProperties' | 'maxProperties' | 'minItems' | 'maxItems'

function setCount(node: RegoObject, schema: Schema, key: Count): void {
  const value = node.get(key)
  if (value === undefined) return
  // OPA reads the text: 1.0 is no count.
  const text = isNumber(value) ? writeNumber(value) : ''
  const count = /^-?[0-9]{1,15}$/.test(text) ? Number(text) : undefined
  if (count === undefined) throw mustBe(key, 'an integer')
  if (count < 0) throw fail(`${key} must be greater than or equal to 0`)
  schema[key] = count
}
