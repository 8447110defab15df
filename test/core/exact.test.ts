import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Decimal, type Exact, exactText, hasDecimals, maxExactDepth, readExact, roundedJson } from '../../core/exact.ts'
import { canonicalJson, type Json } from '../../core/json.ts'

const read = (text: string): Exact => {
  const found = readExact(text)
  if (!found.ok) throw new Error(found.wrong)
  return found.value
}
const wrongOf = (text: string): string | undefined => {
  const found = readExact(text)
  return found.ok ? undefined : found.wrong
}

const value = fc.jsonValue({ noUnicodeString: false }).filter((json) => JSON.stringify(json).isWellFormed())

test('any JSON comes back as it was, whatever space is in it', () => {
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, 1, '\t', ' \n'), (json, space) => {
      const found = read(JSON.stringify(json, null, space))
      expect(canonicalJson(roundedJson(found))).toBe(canonicalJson(json as Json))
      expect(canonicalJson(JSON.parse(exactText(found)) as Json)).toBe(canonicalJson(json as Json))
    }),
  )
})

test('of any text it reads no more than JSON.parse does, and refuses nothing else but what readers differ on', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"\\u0061"',
    '1',
    '-0',
    '01',
    '1e5',
    'null',
    ' ',
    '"',
    '\\',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(piece, { maxLength: 9 }).map((list) => list.join('')),
        fc.string(),
      ),
      (text) => {
        let parsed: Json | undefined
        try {
          parsed = JSON.parse(text) as Json
        } catch {
          expect(wrongOf(text)).toBeDefined()
          return
        }
        const found = readExact(text)
        if (found.ok) expect(canonicalJson(roundedJson(found.value))).toBe(canonicalJson(parsed))
        else expect(found.wrong).toMatch(/one name twice|too large/)
      },
    ),
    { numRuns: 2000 },
  )
})

test('a number beyond what JavaScript holds keeps its value; its neighbour needs no care', () => {
  expect(exactText(read('[9007199254740993]'))).toBe('[9007199254740993]')
  expect(hasDecimals(read('[9007199254740993]'))).toBe(true)
  expect(roundedJson(read('[9007199254740993]'))).toEqual([9007199254740992])
  expect(hasDecimals(read('[9007199254740992, 0.1, 1e2, 1.50, -0, 0.0, 1234e-3]'))).toBe(false)
  expect(read('0.1000000000000000055')).toEqual(new Decimal('0.1000000000000000055'))
})

test('a number is kept as text only where JavaScript says another one', () => {
  const digits = fc.stringMatching(/^[1-9][0-9]{0,20}$/)
  fc.assert(
    fc.property(
      digits,
      fc.stringMatching(/^[0-9]{0,8}$/),
      fc.integer({ min: -330, max: 280 }),
      (whole, part, power) => {
        const text = `${whole}${part === '' ? '' : `.${part}`}e${power}`
        const found = readExact(text)
        if (!found.ok) {
          expect(found.wrong).toContain('too small')
          return
        }
        const integer = (of: string): bigint => {
          const [mantissa, exponent = '0'] = of.split('e')
          const [before, after = ''] = mantissa!.split('.')
          return BigInt(`${before}${after}`) * 10n ** BigInt(Number(exponent) - after.length + 400)
        }
        expect(found.value instanceof Decimal).toBe(integer(text) !== integer(String(Number(text))))
      },
    ),
    { numRuns: 2000 },
  )
})

test('integers of any size keep every digit', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }), (integer) => {
      const text = exactText(read(String(integer)))
      expect(text.includes('e') ? BigInt(Number(text)) : BigInt(text)).toBe(integer)
    }),
  )
})

test.each([
  ['one name twice', '{"a":1,"b":2,"a":3}'],
  ['one name twice, once escaped', '{"a":1,"\\u0061":3}'],
  ['__proto__ twice', '{"__proto__":1,"__proto__":2}'],
  ['a byte order mark', '\ufeff{}'],
  ['half a character', '"\\ud800"'],
  ['two values', '{} {}'],
  ['nothing', ' '],
  ['a trailing comma', '[1,]'],
  ['a comment', '[1/**/]'],
  ['a single quote', "{'a':1}"],
  ['NaN', 'NaN'],
  ['a plus', '+1'],
  ['a line feed within a string', '"a\nb"'],
  ['a string without end', '"abc'],
  ['an escape without end', '"abc\\'],
  ['an unknown escape', '"\\x41"'],
  ['a number too large', '1e309'],
  ['a number too small', '1e-400'],
  ['a number too long', `0.${'1'.repeat(600)}`],
])('%s is refused', (_, text) => {
  expect(wrongOf(text)).toBeDefined()
})

test('one level more than the deepest is refused', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  expect(wrongOf(nested(maxExactDepth))).toBeUndefined()
  expect(wrongOf(nested(maxExactDepth + 1))).toContain('deeply')
  expect(wrongOf('['.repeat(200_000))).toContain('deeply')
})

test('a member named __proto__ is one like any other', () => {
  expect(exactText(read('{"__proto__":{"a":1}}'))).toBe('{"__proto__":{"a":1}}')
})
