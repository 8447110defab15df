import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  bytesOfString,
  compareStrings,
  compareValues,
  equalValues,
  objectOf,
  parseValue,
  setOf,
  stringOfBytes,
  type Value,
} from '../../../engine/value.ts'
import { values } from './values.ts'

test('types come in the order of OPA, and values in their own', () => {
  const sorted = [
    ...['null', 'false', 'true', '-1', '0', '0.5', '9007199254740993', '1e30'],
    ...['""', '"a"', '"aa"', '"b"', '"\uffff"', '"\u{10000}"'],
    ...[
      '[]',
      '[0]',
      '[0, 0]',
      '[1]',
      '{}',
      '{"a": 1}',
      '{"a": 1, "b": 0}',
      '{"a": 2}',
      'set()',
      '{1}',
      '{1, 2}',
      '{2}',
    ],
  ].map(parseValue)
  sorted.forEach((a, i) => {
    sorted.forEach((b, j) => {
      expect([Math.sign(compareValues(a, b)), a, b]).toEqual([Math.sign(i - j), a, b])
    })
  })
})

test('the order is total: it turns round with its sides, and is transitive', () => {
  fc.assert(
    fc.property(values, values, values, (a, b, c) => {
      expect(Math.sign(compareValues(a, b))).toBe(0 - Math.sign(compareValues(b, a)))
      const [x, y, z] = [a, b, c].sort(compareValues) as [Value, Value, Value]
      expect(compareValues(x, y)).toBeLessThanOrEqual(0)
      expect(compareValues(y, z)).toBeLessThanOrEqual(0)
      expect(compareValues(x, z)).toBeLessThanOrEqual(0)
    }),
  )
})

test('strings compare as their bytes do', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      expect(Math.sign(compareStrings(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))))
    }),
  )
})

test('a set holds each value once, by value', () => {
  expect(setOf([2, 1, parseValue('1.0'), 2]).size).toBe(2)
  expect(setOf([3, 1]).has(parseValue('1.0'))).toBe(true)
  expect(setOf([3, 1]).has(2)).toBe(false)
})

test('an object has one value for each key, the last one, and keys of any type', () => {
  const object = objectOf([
    ['b', 1],
    [[1], 2],
    ['b', 3],
    [null, 4],
  ])
  expect(object.keys()).toEqual([null, 'b', [1]])
  expect([object.get('b'), object.get([1]), object.get(null), object.get('c')]).toEqual([3, 2, 4, undefined])
  expect([object.has([1]), object.has([2])]).toEqual([true, false])
})

test('however they are put together, equal values are equal', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(values, values)), (entries) => {
      const last = new Map(entries.map(([key], i) => [key, i]))
      const unique = entries.filter(([key], i) => entries.findLastIndex(([k]) => equalValues(k, key)) === i)
      expect(last.size).toBeGreaterThanOrEqual(unique.length)
      expect(equalValues(objectOf(entries), objectOf(unique.reverse()))).toBe(true)
      expect(equalValues(setOf(entries.map(([key]) => key)), setOf(unique.map(([key]) => key)))).toBe(true)
    }),
  )
})

test('any bytes are a string, and the string is those bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(bytesOfString(stringOfBytes(bytes))).toEqual(bytes)
    }),
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(stringOfBytes(bytesOfString(text))).toBe(text)
    }),
  )
})
