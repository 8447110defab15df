import fc from 'fast-check'
import { expect, test } from 'vitest'
import { civilOf, daysIn, daysOf } from '../../../engine/builtins/time/civil.ts'
import { ask, askIn, contextAt } from './ask.ts'

const q = (text: string) => JSON.stringify(text)
const at = '1709164800123456789' // 29 February 2024, a Thursday, 00:00:00.123456789 UTC

test('the calendar is that of Date', () => {
  fc.assert(
    fc.property(fc.integer({ min: -100_000_000, max: 100_000_000 }), (days) => {
      const date = new Date(days * 86_400_000)
      expect(civilOf(days)).toEqual({
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day: date.getUTCDate(),
      })
      expect(daysOf(civilOf(days))).toBe(days)
    }),
  )
  expect([daysIn(2, 2024), daysIn(2, 2023), daysIn(2, 1900), daysIn(2, 2000), daysIn(12, 2024)]).toEqual([
    29, 28, 28, 29, 31,
  ])
})

test('the time of an evaluation stands still', () => {
  const context = contextAt(1_795_453_449_123_456_789n)
  expect(askIn(context, 'time.now_ns')).toBe('1795453449123456789')
})

test('dates and clocks are those of a zone', () => {
  expect(ask('time.date', at)).toBe('[2024, 2, 29]')
  expect(ask('time.date', `[${at}, "America/New_York"]`)).toBe('[2024, 2, 28]')
  expect(ask('time.clock', `[${at}, "Asia/Kathmandu"]`)).toBe('[5, 45, 0]')
  expect(ask('time.clock', `[${at}, "Local"]`)).toBe('[0, 0, 0]')
  expect(ask('time.weekday', at)).toBe('"Thursday"')
  for (const bad of [
    '"x"',
    '[]',
    '["a"]',
    `[${at}, "Nope/Nope"]`,
    `[${at}, "+01:00"]`,
    `[${at}, "../etc"]`,
    '1.5',
    '1e30',
  ]) {
    expect([bad, ask('time.date', bad)]).toEqual([bad, 'undefined'])
  }
})

test.each([
  ['RFC3339', '2024-02-29T01:00:00+01:00'],
  ['RFC3339Nano', '2024-02-29T01:00:00.123456789+01:00'],
  ['UnixDate', 'Thu Feb 29 01:00:00 CET 2024'],
  ['RFC822Z', '29 Feb 24 01:00 +0100'],
  ['Monday, January _2 2006 3:04PM .000 002', 'Thursday, February 29 2024 1:00AM .123 060'],
  ['15h 06 1/2 -07:00:00 Z0700 ,999999 __2', '01h 24 2/29 +01:00:00 +0100 ,123456  60'],
  ['Janet Months', 'Janet Months'],
])('the layout %j gives %j', (layout, wanted) => {
  expect(ask('time.format', `[${at}, "Europe/Berlin", ${q(layout)}]`)).toBe(q(wanted))
})

test('text is read by the same layouts, and refused where it does not fit', () => {
  expect(ask('time.parse_rfc3339_ns', '"2024-02-29T00:00:00.123456789Z"')).toBe(at)
  expect(ask('time.parse_rfc3339_ns', '"2024-02-29T01:00:00,123456789+01:00"')).toBe(at)
  expect(ask('time.parse_ns', '"RFC1123"', '"Thu, 29 Feb 2024 00:00:00 UTC"')).toBe('1709164800000000000')
  expect(ask('time.parse_ns', '"2006-002 3PM"', '"2024-060 12AM"')).toBe('1709164800000000000')
  const bad = [
    '2023-02-29T00:00:00Z',
    '2024-02-29T24:00:00Z',
    '2024-02-29T00:00:60Z',
    '2024-02-29 00:00:00Z',
    '2024-02-29T00:00:00',
    '2024-02-29T00:00:00Zx',
    '2262-04-12T00:00:00Z',
    '1677-09-20T00:00:00Z',
    '2024-2-29T00:00:00Z',
  ]
  for (const one of bad) expect([one, ask('time.parse_rfc3339_ns', q(one))]).toEqual([one, 'undefined'])
})

test('every time comes back as it was written', () => {
  const ns = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 63n - 1n })
  fc.assert(
    fc.property(ns, fc.constantFrom('UTC', 'America/New_York', 'Asia/Kolkata'), (time, zone) => {
      fc.pre(time > -2_000_000_000_000_000_000n) // Before, offsets had seconds, which the layout has not.
      expect(ask('time.parse_rfc3339_ns', ask('time.format', `[${time}, ${q(zone)}]`))).toBe(String(time))
    }),
  )
})

test('dates run over, and clocks that change keep their time of day', () => {
  expect(ask('time.add_date', at, '1', '0', '0')).toBe(String(BigInt(at) + 366n * 86_400_000_000_000n)) // To 1 March.
  const berlin = '[1711756800000000000, "Europe/Berlin"]' // 30 March 2024, 01:00 there, a day before summer time.
  expect(ask('time.clock', `[${ask('time.add_date', berlin, '0', '0', '2')}, "Europe/Berlin"]`)).toBe('[1, 0, 0]')
  expect(ask('time.add_date', at, '300', '0', '0')).toBe('undefined')
  expect(ask('time.diff', at, `[${ask('time.add_date', at, '-1', '-2', '-3')}, "UTC"]`)).toBe('[1, 2, 3, 0, 0, 0]')
})

test('durations add up, in units from nanoseconds to years', () => {
  for (const [text, wanted] of Object.entries({
    '1h30m': '5400000000000',
    '-1.5s': '-1500000000',
    '1d2h': '93600000000000',
    '1w': '604800000000000',
    '0.5y': '15768000000000000',
    '1µs1μs1us': '3000',
    '0': '0',
    '.5ns': '0',
    '1.h': '3600000000000',
  })) {
    expect([text, ask('time.parse_duration_ns', q(text))]).toEqual([text, wanted])
  }
  for (const bad of ['', '1', 'h', '1x', '1h-1m', '1..5h', '.h', '9223372036.854775808s', '300y', '1 h']) {
    expect([bad, ask('time.parse_duration_ns', q(bad))]).toEqual([bad, 'undefined'])
  }
})
