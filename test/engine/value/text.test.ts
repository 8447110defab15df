import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  equalValues,
  formatJson,
  formatValue,
  fromJson,
  maxDepth,
  objectOf,
  parseJsonValue,
  parseValue,
  setOf,
  toJson,
} from '../../../engine/value.ts'
import { values } from './values.ts'

test('every value comes back as it was written', () => {
  fc.assert(
    fc.property(values, (value) => {
      const text = formatValue(value)
      const again = parseValue(text)
      expect(equalValues(again, value)).toBe(true)
      expect(formatValue(again)).toBe(text)
    }),
    { numRuns: 500 },
  )
})

test('the syntax is OPA’s: sets, keys of any type, spaces where they please', () => {
  expect(parseValue('{ 2,1 , 1.0 }')).toEqual(setOf([1, 2]))
  expect(parseValue(' set( ) ')).toEqual(setOf([]))
  expect(parseValue('{}')).toEqual(objectOf([]))
  expect(parseValue('{[1]:{"a"}, null:set()}')).toEqual(
    objectOf([
      [[1], setOf(['a'])],
      [null, setOf([])],
    ]),
  )
  expect(formatValue(parseValue('[{"b":1,"a":{2,1}},"x\\u0001\\"é"]'))).toBe('[{"a": {1, 2}, "b": 1}, "x\\u0001\\"é"]')
})

test('anything but one whole value is refused', () => {
  const broken = [
    '',
    '[',
    '[1',
    '[1,]',
    '{1:}',
    '{1:2,3}',
    '{1,2:3}',
    '{,}',
    'nul',
    'set',
    'set(',
    'set(1)',
    '"',
    '"a',
    '"\\"',
  ]
  for (const text of [...broken, '"\\x"', '"\n"', '1 2', '01', '+1', '1]', 'true false', "'a'", '-', 'undefined']) {
    expect(() => parseValue(text), text).toThrow(SyntaxError)
  }
})

test('arbitrary text is read or refused, and nothing else', () => {
  const unit = fc.constantFrom(...'[]{}():,"\\ \n01-.eEsetnulltruefa\u00e9')
  fc.assert(
    fc.property(fc.string({ unit }), (text) => {
      try {
        parseValue(text)
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(SyntaxError)
      }
    }),
    { numRuns: 2000 },
  )
})

test('the deepest value is read, one deeper is refused', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  expect(() => parseValue(nested(maxDepth))).not.toThrow()
  expect(() => parseValue(nested(maxDepth + 1))).toThrow('nested')
  expect(() => parseValue('['.repeat(1_000_000))).toThrow('nested')
})

test('JSON goes in and comes out as it was', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (json) => {
      const plain = JSON.parse(JSON.stringify(json))
      expect(toJson(fromJson(plain))).toEqual(plain)
      expect(JSON.parse(formatJson(fromJson(plain)))).toEqual(plain)
      expect(equalValues(parseJsonValue(JSON.stringify(plain)), fromJson(plain))).toBe(true)
    }),
  )
})

test('what JSON lacks becomes arrays and text, in order', () => {
  const value = parseValue('{"s": {3, 1}, [1, "a"]: set(), 5: 9007199254740993, "__proto__": 1.0}')
  expect(formatJson(value)).toBe('{"5":9007199254740993,"__proto__":1.0,"s":[1,3],"[1,\\"a\\"]":[]}')
  expect(Object.entries(toJson(value)!)).toContainEqual(['__proto__', 1])
  expect(Object.entries(toJson(value)!)).toContainEqual(['[1,"a"]', []])
})

test('JSON text keeps its numbers and has no sets', () => {
  expect(parseJsonValue('[9007199254740993]')).toEqual([9007199254740993n])
  for (const text of ['{1,2}', 'set()', '{1:2}', '[1,]']) expect(() => parseJsonValue(text), text).toThrow(SyntaxError)
})
