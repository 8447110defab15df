import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatTime, parseTime } from '../../core/time.ts'

const moment = fc.bigInt({ min: 0n, max: 253_402_300_799_999_999_999n })

test('any moment reads back as it was written, whatever was written before it', () => {
  fc.assert(fc.property(moment, (ns) => void expect(parseTime(formatTime(ns))).toBe(ns)))
})

test('text is in the order of time, over the end of a second too', () => {
  const end = 1_700_000_000_000_000_000n
  expect(formatTime(end - 1n)).toBe('2023-11-14T22:13:19.999999999Z')
  expect(formatTime(end)).toBe('2023-11-14T22:13:20.000000000Z')
  expect(formatTime(end + 7n)).toBe('2023-11-14T22:13:20.000000007Z')
  fc.assert(
    fc.property(moment, moment, (a, b) => {
      expect(formatTime(a) < formatTime(b)).toBe(a < b)
    }),
  )
})

test('a time reads the same whatever was read before', () => {
  const text = fc.oneof(
    moment.map(formatTime),
    fc.constantFrom('', '2026-02-30T00:00:00.000000000Z', '2026-13-01T00:00:00.000000000Z'),
    fc.constantFrom('2026-02-03T00:00:00.000000001Z', '2026-02-03T00:00:00.000000002Z', '2026-02-03T00:00:00Z'),
  )
  const alone = (of: string) => {
    parseTime('another')
    parseTime('1970-01-01T00:00:00.000000000Z')
    return parseTime(of)
  }
  fc.assert(
    fc.property(fc.array(text, { maxLength: 10 }), (texts) => {
      const expected = texts.map(alone)
      expect(texts.map(parseTime)).toEqual(expected)
    }),
  )
})

test('a time is the moment that JavaScript reads, on any day of any calendar and on days that none has', () => {
  const two = (max: number) => fc.nat(max).map((number) => String(number).padStart(2, '0'))
  const year = fc.oneof(fc.nat(9999), fc.constantFrom(0, 4, 100, 400, 1900, 1969, 1970, 1972, 2000, 2024, 2100))
  const text = fc
    .tuple(year, two(14), two(33), two(25), two(61), two(61))
    .map(([y, mo, d, h, mi, s]) => `${String(y).padStart(4, '0')}-${mo}-${d}T${h}:${mi}:${s}`)
  let valid = 0
  fc.assert(
    fc.property(text, (one) => {
      const ms = Date.parse(`${one}Z`)
      if (!Number.isNaN(ms)) valid++
      const expected = Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n + 120n
      expect(parseTime(`${one}.000000120Z`)).toBe(expected)
    }),
    { numRuns: 5000 },
  )
  expect(valid).toBeGreaterThan(1000)
})
