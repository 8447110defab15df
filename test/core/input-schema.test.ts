import fc from 'fast-check'
import { expect, test } from 'vitest'
import { policyInput } from '../../core/input.ts'
import { policyInputSchema } from '../../core/input-schema.ts'
import { isObject, type Json } from '../../core/json.ts'
import { readSchema } from '../../engine/builtins/schema/schema.ts'
import { validate } from '../../engine/builtins/schema/validate.ts'
import { fromJson } from '../../engine/value.ts'
import { facts } from './facts.ts'

const schema = readSchema(fromJson(policyInputSchema))
const mismatches = (input: Json) => validate(schema, fromJson(input), () => undefined)

test('the input of any request is what the schema says, and one with a member more, anywhere, is not', () => {
  fc.assert(
    fc.property(facts, (of) => {
      const input = policyInput(of)
      expect(mismatches(input)).toEqual([])
      for (const more of withOneMore(input)) expect(mismatches(more), JSON.stringify(more)).not.toEqual([])
    }),
  )
})

test('every member that the schema names is in the input of some request', () => {
  const seen = new Set<string>()
  fc.assert(fc.property(facts, (of) => collect(policyInput(of), '', seen)))
  expect(named(policyInputSchema, '').filter((path) => !seen.has(path))).toEqual([])
})

/** The same with one member more, of each object whose members are not the request's own. */
function* withOneMore(input: Json, path = ''): Generator<Json> {
  if (!isObject(input) || /\.(headers|parsed_query|parsed_body|claims)(?:\.|$)/.test(path)) return
  yield { ...input, metod: 'GET' }
  for (const [name, member] of Object.entries(input)) {
    for (const more of withOneMore(member!, `${path}.${name}`)) yield { ...input, [name]: more }
  }
}

function collect(input: Json, path: string, into: Set<string>): void {
  into.add(path)
  if (isObject(input) && path !== '.parsed_body')
    for (const [name, member] of Object.entries(input)) collect(member!, `${path}.${name}`, into)
}

function named(of: Json | undefined, path: string): readonly string[] {
  const properties = isObject(of) ? of['properties'] : undefined
  if (!isObject(properties)) return [path]
  return [path, ...Object.entries(properties).flatMap(([name, member]) => named(member, `${path}.${name}`))]
}
