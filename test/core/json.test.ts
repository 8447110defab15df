import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalJson, type Json } from '../../core/json.ts'

/** RFC 8785 by the shortest way there is: what the quicker one has to equal. */
function byTheLetter(value: Json): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((item) => byTheLetter(item as Json)).join(',')}]`
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  const texts = members
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${byTheLetter(member as Json)}`)
  return `{${texts.join(',')}}`
}

test('any JSON is written as RFC 8785 says, in whatever order its members came', () => {
  const wellFormed = fc.string({ unit: 'binary' })
  const { value } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constant(null),
      fc.boolean(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      wellFormed,
      fc.string(),
      fc.array(tie('value')),
      fc.dictionary(fc.oneof(wellFormed, fc.string(), fc.nat().map(String)), tie('value')),
    ),
  }))
  fc.assert(fc.property(value, (json) => void expect(canonicalJson(json)).toBe(byTheLetter(json))))
})

test('members are in UTF-16 order: a number-like name stands by its digits, an emoji before a private-use sign', () => {
  expect(canonicalJson({ 9: 1, 10: 2, '\ue000': 3, '😀': 4 })).toBe('{"10":2,"9":1,"😀":4,"\ue000":3}')
})

test('quotes, backslashes and control characters are escaped; delete and what lies beyond ASCII stand as they are', () => {
  expect(canonicalJson('a"b\\c\n\u0000\u001f')).toBe('"a\\"b\\\\c\\n\\u0000\\u001f"')
  expect(canonicalJson('\u007fé\u2028')).toBe('"\u007fé\u2028"')
})

test('a surrogate alone is refused, in a text and in a name; a pair is not', () => {
  expect(() => canonicalJson('\ud800')).toThrow(TypeError)
  expect(() => canonicalJson({ '\udc00': 1 })).toThrow(TypeError)
  expect(canonicalJson('\ud83d\ude00')).toBe('"😀"')
})

test('minus zero is zero; what is no number of JSON is refused', () => {
  expect(canonicalJson([-0, 1e21, 1e-7, 0.1])).toBe('[0,1e+21,1e-7,0.1]')
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, undefined, () => 1, 1n]) {
    expect(() => canonicalJson(wrong as never)).toThrow(TypeError)
  }
})

test('a member that is undefined is left out, wherever it stands', () => {
  expect(canonicalJson({ a: undefined, b: 1, c: undefined })).toBe('{"b":1}')
  expect(canonicalJson({ a: undefined })).toBe('{}')
})
