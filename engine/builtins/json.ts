/** json.* beyond those compiled into each policy. */

import { messageOf } from '../../core/fault.ts'
import { formatJson, isArray, objectOf, parseJsonValue, RegoObject, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { arrayOf, booleanOf, objectArg, stringOf } from './operand.ts'
import { patch } from './patch.ts'
import { readSchema, type Schema } from './schema/schema.ts'
import { validate } from './schema/validate.ts'
import { escapeHtml, SchemaError } from './schema/words.ts'

function marshalWithOptions(_: BuiltinContext, value: Value, options: Value): Value {
  let [indent, prefix, pretty] = ['\t', '', undefined as boolean | undefined]
  for (const [key, option] of objectArg(options).entries) {
    if (key === 'indent') indent = stringOf(option)
    else if (key === 'prefix') prefix = stringOf(option)
    else if (key === 'pretty') pretty = booleanOf(option)
    else throw new BuiltinError(`object contained unknown key ${String(key)}`)
  }
  const plain = parseJsonValue(formatJson(value))
  if (!(pretty ?? objectArg(options).entries.length > 0)) return escapeHtml(formatJson(plain))
  return prefix + indented(plain, `\n${prefix}`, indent)
}

/** Go's MarshalIndent: `line` begins each one, with what stands before it. */
function indented(value: Value, line: string, indent: string): string {
  const inner = line + indent
  if (isArray(value) && value.length > 0) {
    return `[${value.map((item) => inner + indented(item, inner, indent)).join(',')}${line}]`
  }
  if (!(value instanceof RegoObject) || value.size === 0) return escapeHtml(formatJson(value))
  const members = value.entries.map(
    ([key, member]) => `${inner}${escapeHtml(formatJson(key))}: ${indented(member, inner, indent)}`,
  )
  return `{${members.join(',')}${line}}`
}

/** A document or schema: an object or an array, or JSON text of anything. */
function documentOf(value: Value): Value {
  if (typeof value === 'string') {
    try {
      return parseJsonValue(value)
    } catch {
      throw new SchemaError('invalid JSON string')
    }
  }
  if (value instanceof RegoObject || isArray(value)) return parseJsonValue(formatJson(value))
  throw new SchemaError('wrong type, expected string or object')
}

const schemaOf = ({ patterns }: BuiltinContext, value: Value): Schema =>
  patterns.compiled('schema', formatJson(value), () => readSchema(documentOf(value)))

function verifySchema(context: BuiltinContext, schema: Value): Value {
  let answer: Value = [true, null]
  try {
    schemaOf(context, schema)
  } catch (thrown) {
    if (!(thrown instanceof SchemaError)) throw thrown
    answer = [false, `jsonschema: ${thrown.message}`]
  }
  context.record('json.verify_schema', [schema], answer)
  return answer
}

function matchSchema(context: BuiltinContext, document: Value, schema: Value): Value {
  try {
    const mismatches = validate(schemaOf(context, schema), documentOf(document), context.spend)
    const errors = mismatches.map(({ type, field, desc }) =>
      objectOf(Object.entries({ type, field, desc, error: `${field}: ${desc}` })),
    )
    const answer = [errors.length === 0, errors]
    context.record('json.match_schema', [document, schema], answer)
    return answer
  } catch (thrown) {
    if (thrown instanceof SchemaError) throw new BuiltinError(messageOf(thrown))
    throw thrown
  }
}

export const json: BuiltinFamily = {
  'json.marshal_with_options': marshalWithOptions,
  'json.match_schema': matchSchema,
  'json.verify_schema': verifySchema,
  'json.patch': ({ spend }, target, operations) => patch(target, arrayOf(operations), spend),
}
