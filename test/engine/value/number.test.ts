import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  compareNumbers,
  Decimal,
  fromInteger,
  readNumber,
  toDouble,
  toInteger,
  writeNumber,
} from '../../../engine/value.ts'
import { numberTexts } from './values.ts'

test('a number keeps the text it was written as', () => {
  fc.assert(fc.property(numberTexts, (text) => writeNumber(readNumber(text)!) === text))
})

test('a double holds what it writes back; more digits are another form', () => {
  expect(readNumber('0.1')).toBe(0.1)
  expect(readNumber('0.10000000000000001')).toEqual(new Decimal('0.10000000000000001'))
  expect(readNumber('9007199254740991')).toBe(9007199254740991)
  expect(readNumber('9007199254740992')).toBe(9007199254740992n)
  expect(readNumber('1.0')).toEqual(new Decimal('1.0'))
  expect(readNumber('1e3')).toEqual(new Decimal('1e3'))
  expect(readNumber('-0')).toEqual(new Decimal('-0'))
  expect([readNumber('.5'), readNumber('-.5')]).toEqual([0.5, -0.5])
})

test('what is no number of JSON is none here', () => {
  for (const text of ['', '-', '+1', '01', '.', '-.', '0x10', '1_000', 'NaN', 'Infinity', '1e1e1', ' 1']) {
    expect(readNumber(text)).toBeUndefined()
  }
  expect(() => writeNumber(Number.NaN)).toThrow(TypeError)
  expect(() => writeNumber(Number.POSITIVE_INFINITY)).toThrow(TypeError)
})

test('numbers compare by value, whatever their form and their length', () => {
  const order = (a: string, b: string) => Math.sign(compareNumbers(readNumber(a)!, readNumber(b)!))
  for (const [a, b] of [
    ['1', '1.0'],
    ['1e3', '1000'],
    ['0', '-0'],
    ['0.0', '0e99'],
    ['100000000000000000000', '1e20'],
    ['12.50', '125e-1'],
  ] as const) {
    expect(order(a, b)).toBe(0)
    expect(order(b, a)).toBe(0)
  }
  for (const [a, b] of [
    ['9007199254740992', '9007199254740993'],
    ['0.1', '0.10000000000000001'],
    ['-1e400', '-1e399'],
    ['-0.5', '0'],
    ['9', '10.5'],
    ['1e400', '1e401'],
  ] as const) {
    expect(order(a, b)).toBe(-1)
    expect(order(b, a)).toBe(1)
  }
})

test('the order is that of exact fractions', () => {
  const exact = (text: string): bigint => {
    const [, sign, whole = '', fraction = '', power = '0'] =
      /^(-?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
    const scaled = BigInt(whole + fraction) * 10n ** BigInt(200 + Number(power) - fraction.length)
    return sign ? -scaled : scaled
  }
  fc.assert(
    fc.property(numberTexts, numberTexts, (a, b) => {
      const [x, y] = [exact(a), exact(b)]
      return Math.sign(compareNumbers(readNumber(a)!, readNumber(b)!)) === (x < y ? -1 : x > y ? 1 : 0)
    }),
  )
})

test('an integer is one by value, a fraction is none', () => {
  expect(toInteger(readNumber('1.0')!)).toBe(1n)
  expect(toInteger(readNumber('-1.5e3')!)).toBe(-1500n)
  expect(toInteger(readNumber('1e20')!)).toBe(10n ** 20n)
  expect(toInteger(readNumber('-0')!)).toBe(0n)
  expect(toInteger(readNumber('1.5')!)).toBeUndefined()
  expect(toInteger(readNumber('1e-1')!)).toBeUndefined()
  expect(toInteger(readNumber('1e999999999')!)).toBeUndefined()
  fc.assert(fc.property(fc.bigInt(), (n) => toInteger(fromInteger(n)) === n))
})

test('the nearest double of a long number', () => {
  expect(toDouble(readNumber('9007199254740993')!)).toBe(9007199254740992)
  expect(toDouble(readNumber('1e400')!)).toBe(Number.POSITIVE_INFINITY)
})

test('numbers of any length are compared, and their zeros are passed over once', () => {
  const long = `1${'0'.repeat(500_000)}1`
  expect(readNumber(long)).toBeInstanceOf(Decimal)
  expect(compareNumbers(readNumber(long)!, readNumber(`${long}.0`)!)).toBe(0)
  expect(compareNumbers(readNumber(long)!, readNumber(`${long}.1`)!)).toBeLessThan(0)
  expect(toInteger(readNumber(long)!)).toBeUndefined()
})
