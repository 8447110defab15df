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
