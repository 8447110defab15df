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
