import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatFloat } from '../../../engine/builtins/go/float.ts'
import { sprintf } from '../../../engine/builtins/go/sprintf.ts'
import { ask } from './ask.ts'

const format = (pattern: string, args: string) => JSON.parse(ask('sprintf', JSON.stringify(pattern), args)) as string

test('composites are printed as OPA prints terms, text without quotes', () => {
  expect(format('%v and %s', '["a", {"b": [1, {2, "c"}], null: set()}]')).toBe(
    'a and {null: set(), "b": [1, {2, "c"}]}',
  )
  expect(format('%v %v', '[true, null]')).toBe('true null')
})

test.each([
  [
    '%d|%5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c|%U',
    '[42,42,42,42,42,255,255,8,5,65,128512]',
    '42|   42|42   |00042|+42|ff|FF|10|101|A|U+1F600',
  ],
  ['%d', '[9007199254740993]', '9007199254740993'],
  ['%d', '[123456789012345678901234567890]', '123456789012345678901234567890'],
  ['%+v|%#x', '[99999999999999999999, 99999999999999999999]', '+99999999999999999999|0x56bc75e2d630fffff'],
  ['%f|%.2f|%8.3f|%e|%g|%G', '[1.5,2.345,3.14159,1234.5,1e21,1e-7]', '1.500000|2.35|   3.142|1.234500e+03|1e+21|1E-07'],
  ['%.0f %.0f %.1f', '[0.5, 1.5, 0.25]', '0 2 0.2'],
  ['%v %v %v', '[1.0, 1e6, 0.1]', '1 1e+06 0.1'],
  ['%q|%#q|%x|% X|%5.2s|%t', '["a\\"é","b","hi","hi","héllo",true]', '"a\\"é"|`b`|6869|68 69|   hé|%!t(string=true)'],
  ['%T %T %T %T', '["a", 1, 1.5, 18446744073709551616]', 'string int64 float64 *big.Int'],
  ['%[2]s %[1]s', '["a","b"]', 'b a'],
  ['%*d|%-*d|%.*f', '[5,1,5,2,2,3.14159]', '    1|2    |3.14'],
  ['%d %s', '["a"]', '%!d(string=a) %!s(MISSING)'],
  ['%d', '[1, "x"]', '1%!(EXTRA string=x)'],
  ['%z%', '[1]', '%!z(int64=1)%!(NOVERB)'],
  ['%[3]d %[x]d', '[1]', '%!d(BADINDEX) %!d(BADINDEX)'],
  ['100%%', '[]', '100%'],
])('Go writes %j with %s as %j', (pattern, args, wanted) => {
  expect(format(pattern, args)).toBe(wanted)
})

test('a format that is no string is undefined, one that makes megabytes ends the evaluation', () => {
  expect(ask('sprintf', '1', '[]')).toBe('undefined')
  expect(() => ask('sprintf', JSON.stringify('%999999d'.repeat(6)), '[1,2,3,4,5,6]')).toThrow(RangeError)
})

test('no format and no arguments make it fail otherwise', () => {
  const directive = fc.string({ unit: fc.constantFrom(...'%+-# 0123.*[]vdsqxXfFeEgGbcUoOtTw!é'), maxLength: 12 })
  fc.assert(
    fc.property(directive, fc.array(fc.oneof(fc.double({ noNaN: true }), fc.string())), (pattern, values) => {
      sprintf(
        pattern.replace(/[0-9]{4,}/g, '9'),
        values.map((value) => (typeof value === 'string' ? { type: 'string', value } : { type: 'float64', value })),
      )
    }),
  )
})

test('the shortest digits are read back as the same double, and 17 digits always are', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (double) => {
      for (const text of [formatFloat(double, 'g', -1), formatFloat(double, 'e', 16), formatFloat(double, 'f', -1)]) {
        expect(Number(text)).toBe(double)
      }
    }),
  )
})

test('hexadecimal and binary floats, and what is no number', () => {
  expect([formatFloat(1, 'x', -1), formatFloat(-0.1, 'x', 3), formatFloat(0, 'x', 1)]).toEqual([
    ...['0x1p+00', '-0x1.99ap-04', '0x0.0p+00'],
  ])
  expect(formatFloat(1, 'b', -1)).toBe('4503599627370496p-52')
  expect([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((n) => formatFloat(n, 'g', -1))).toEqual([
    ...['NaN', '+Inf', '-Inf'],
  ])
})
