import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { utf8 } from '../../core/bytes.ts'
import { isPlainlyCanonical } from '../../core/canonical.ts'
import { canonicalJson, type Json } from '../../core/json.ts'

const isPlain = (text: string): boolean => isPlainlyCanonical(utf8(text))

/** JSON in any order and spelling that a reader takes, names twice among them. */
const { text } = fc.letrec<{ text: string }>((tie) => {
  const name = fc.constantFrom('a', 'b', 'ab', '', '10', '9', 'B', '__proto__', 'é', '\\u0061', '~', ' ')
  const space = fc.constantFrom('', '', '', '', ' ', '\n')
  const listed = (items: readonly string[]): string => items.join(',')
  return {
    text: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom('null', 'true', 'false', '0', '-0', '17', '-1', '1.0', '1.5', '1e3', '1E3', '-0.5'),
      fc.constantFrom('123456789012345', '1234567890123456789', '-999999999999999999'),
      fc.constantFrom('""', '"a"', '"\\n"', '"é"', '"\u007f"', '"\\/"', '"{\\"a\\":1}"', '"a,b:[ ]"'),
      fc.array(tie('text'), { maxLength: 3 }).map((items) => `[${listed(items)}]`),
      fc
        .array(fc.tuple(name, tie('text'), space), { maxLength: 4 })
        .map((members) => `{${listed(members.map(([of, value, gap]) => `"${of}":${gap}${value}`))}}`),
    ),
  }
})

describe('JSON is plainly canonical', () => {
  test('only where its canonical form is itself', () => {
    let plain = 0
    fc.assert(
      fc.property(text, (one) => {
        if (!isPlain(one)) return
        plain++
        expect(canonicalJson(JSON.parse(one) as Json)).toBe(one)
      }),
      { numRuns: 5000 },
    )
    expect(plain).toBeGreaterThan(500)
  })

  test('where names are in order, text is plain and numbers are whole', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'Z', '0', ' ', '{', ',', ':') })
    const { value } = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        fc.oneof(word, fc.integer(), fc.boolean(), fc.constant(null)),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(word, tie('value'), { maxKeys: 5 }),
      ),
    }))
    fc.assert(fc.property(value, (one) => void expect(isPlain(canonicalJson(one))).toBe(true)))
  })

  test.each([
    ['{"a":1,"b":2}', '{"b":2,"a":1}'],
    ['{"a":1,"ab":2}', '{"ab":2,"a":1}'],
    ['{"a":{"b":1},"c":1}', '{"c":{"b":1},"a":1}'],
    ['{"a":1,"b":1}', '{"a":1,"a":1}'],
    ['[{"b":1},{"a":1}]', '[{"b":1, "a":1}]'],
    ['[0,-1]', '[-0,-1]'],
    ['[100]', '[1e2]'],
    ['[1]', '[1.0]'],
    ['["a"]', '["\\u0061"]'],
    ['{"a":"b, c"}', '{"a": "b,c"}'],
  ])('%s is, %s is not', (is, isNot) => {
    expect([isPlain(is), isPlain(isNot)]).toEqual([true, false])
  })

  test('down to 64 levels', () => {
    expect(isPlain('['.repeat(64) + ']'.repeat(64))).toBe(true)
    expect(isPlain('['.repeat(65) + ']'.repeat(65))).toBe(false)
  })
})
