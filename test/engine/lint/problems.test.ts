import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readProblems } from '../../../engine/lint/problems.ts'

const undefinedRef = (step: string, oneOf: readonly string[]) => ({
  message: `undefined ref: input.${step}`,
  code: 'rego_type_error',
  location: { file: 'a.rego', row: 3, col: 4 },
  details: {
    ref: [
      { type: 'var', value: 'input' },
      { type: 'string', value: step },
    ],
    pos: 1,
    oneOf,
  },
})

const cureOf = (step: string, oneOf: readonly string[]) =>
  readProblems(JSON.stringify({ errors: [undefinedRef(step, oneOf)] }))?.[0]?.cure

test('two letters off is taken for a slip, three are not, and then all names are shown', () => {
  expect(cureOf('mehtod', ['method', 'path'])).toBe('it may be method')
  expect(cureOf('methodxxx', ['path', 'method'])).toBe('there are method, path')
  expect(cureOf('x', [])).toBeUndefined()
})

test('what is no list of errors is no answer, whatever it is', () => {
  expect(readProblems('{"errors": []}')).toEqual([])
  expect(readProblems('{}')).toBeUndefined()
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.json().map((errors) => `{"errors":[${errors}]}`),
      ),
      (text) => {
        for (const { message } of readProblems(text) ?? []) expect(typeof message).toBe('string')
      },
    ),
  )
})
