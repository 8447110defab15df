import fc from 'fast-check'
import { expect, test } from 'vitest'
import { skewsOf } from '../../../audit/findings/clock.ts'
import { divergence, movedMix } from '../../../audit/findings/mix.ts'
import { operationOf } from '../../../audit/findings/operation.ts'
import { findingDefaults, isQuiet } from '../../../audit/findings/settings.ts'
import { medianOf, spikeAt } from '../../../audit/findings/spike.ts'

const rules = { minDenials: 20, spikeFactor: 6 }
const now = 1000
/** So many denials in each of the hours before. */
const always = (count: number, hours = 800): Map<number, number> =>
  new Map(Array.from({ length: hours }, (_, i) => [now - 1 - i, count]))

test('twenty denials are a spike where none is usual, nineteen are not', () => {
  expect(spikeAt(now, 20, new Map(), 0, rules)).toMatchObject({ median: 0, threshold: 20, seasonal: true, hours: 12 })
  expect(spikeAt(now, 19, new Map(), 0, rules)).toBeUndefined()
})

test('what is usual at this hour of the week is no spike, and at another hour it is', () => {
  const mondays = new Map(
    [1, 2, 3, 4].flatMap((week) => [-1, 0, 1].map((off) => [now - week * 168 + off, 500] as const)),
  )
  expect(spikeAt(now, 500, mondays, 0, rules)).toBeUndefined()
  expect(spikeAt(now + 5, 500, mondays, 0, rules)).toMatchObject({ median: 0 })
})

test('one bad day does not raise the bar', () => {
  const once = new Map([[now - 168, 100_000]])
  expect(spikeAt(now, 50, once, 0, rules)).toMatchObject({ median: 0, threshold: 20 })
})

test('a mesh of a day is judged by all of its hours, a younger one by none', () => {
  expect(spikeAt(now, 100, new Map(), now - 24, rules)).toMatchObject({ seasonal: false, hours: 24 })
  expect(spikeAt(now, 1e6, new Map(), now - 23, rules)).toBeUndefined()
})

test('more denials never make less of a spike, and a steady caller is never one', () => {
  const counts = fc.dictionary(fc.integer({ min: now - 700, max: now - 1 }).map(String), fc.nat(1000))
  fc.assert(
    fc.property(counts, fc.nat(5000), fc.nat(5000), (given, count, more) => {
      const map = new Map(Object.entries(given).map(([hour, denied]) => [Number(hour), denied]))
      if (spikeAt(now, count, map, 0, rules)) expect(spikeAt(now, count + more, map, 0, rules)).toBeDefined()
    }),
  )
  fc.assert(
    fc.property(fc.nat(5000), (count) => {
      expect(spikeAt(now, count, always(count), 0, { ...rules, minDenials: count + 1 })).toBeUndefined()
      expect(spikeAt(now, count + 8, always(count), 0, { ...rules, minDenials: 1 })).toBeUndefined()
      expect(spikeAt(now, count + 9, always(count), 0, { ...rules, minDenials: 1 })).toBeDefined()
    }),
  )
})

test('the median is in the middle of the numbers, however they come', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1 }), (numbers) => {
      const median = medianOf(numbers)
      expect(numbers.filter((one) => one < median).length).toBeLessThanOrEqual(numbers.length / 2)
      expect(numbers.filter((one) => one > median).length).toBeLessThanOrEqual(numbers.length / 2)
    }),
  )
})

const mix = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 1, max: 1000 }), { minKeys: 1 })
const mapOf = (given: Record<string, number>): Map<string, number> => new Map(Object.entries(given))

test('the divergence is 0 for one mix, 1 for two without anything in common, the same both ways, and within', () => {
  expect(divergence(mapOf({ a: 1, b: 1 }), mapOf({ a: 50, b: 50 }))).toBe(0)
  expect(divergence(mapOf({ a: 1 }), mapOf({ b: 7 }))).toBe(1)
  // By hand: M = (3/4, 1/4); ½·log2(4/3) + ½·(½·log2(2/3) + ½·log2 2).
  expect(divergence(mapOf({ a: 1 }), mapOf({ a: 1, b: 1 }))).toBeCloseTo(0.3113, 4)
  fc.assert(
    fc.property(mix, mix, (a, b) => {
      const there = divergence(mapOf(a), mapOf(b))
      expect(there).toBeCloseTo(divergence(mapOf(b), mapOf(a)), 9)
      expect(there).toBeGreaterThanOrEqual(0)
      expect(there).toBeLessThanOrEqual(1)
    }),
  )
})

test('a mix has moved with enough requests and days behind it, and is not judged without', () => {
  const before = mapOf({ read: 9000, write: 1000 })
  const today = mapOf({ read: 100, write: 900 })
  const by = { minMix: 500, mixDistance: 0.3 }
  expect(movedMix(today, before, 3, by)?.movers[0]).toMatchObject({ before: 0.9, share: 0.1 })
  expect(movedMix(today, before, 2, by)).toBeUndefined()
  expect(movedMix(mapOf({ read: 40, write: 400 }), before, 3, by)).toBeUndefined()
  expect(movedMix(mapOf({ read: 850, write: 150 }), before, 3, by)).toBeUndefined()
  // Six hundred requests over a hundred operations look new whatever they are.
  const thin = new Map(Array.from({ length: 100 }, (_, i) => [`op${i}`, 6]))
  expect(movedMix(thin, before, 3, by)).toBeUndefined()
})

test('the future is a clock ahead; the past is one behind only where another producer is punctual', () => {
  const lag = (least: number, records = 10) => ({ least, most: least, records })
  const ahead = [{ producer: 'a', direction: 'ahead', byMs: 31_000 }]
  expect(skewsOf(new Map([['a', lag(-31_000)]]), 30_000)).toEqual(ahead)
  expect(skewsOf(new Map([['a', lag(-30_000)]]), 30_000)).toEqual([])
  const late = lag(60_000)
  expect(
    skewsOf(
      new Map([
        ['a', late],
        ['b', late],
      ]),
      30_000,
    ),
  ).toEqual([])
  expect(
    skewsOf(
      new Map([
        ['a', late],
        ['b', lag(5)],
      ]),
      30_000,
    ),
  ).toEqual([{ producer: 'a', direction: 'behind', byMs: 60_000 }])
  expect(
    skewsOf(
      new Map([
        ['a', lag(60_000, 4)],
        ['b', lag(5)],
      ]),
      30_000,
    ),
  ).toEqual([])
})

test('what is new is quiet while the mesh is learnt, what is wrong never; a rule mutes what it fits', () => {
  const { learningMs } = findingDefaults
  const one = { finding: 'first_seen' as const, subject: 'spiffe://a/web', target: 'spiffe://a/shop' }
  expect(isQuiet(one, learningMs - 1, 0, findingDefaults)).toBe(true)
  expect(isQuiet(one, learningMs, 0, findingDefaults)).toBe(false)
  expect(isQuiet({ ...one, finding: 'gap' }, 0, 0, findingDefaults)).toBe(false)
  const muted = (...mute: (typeof findingDefaults.mute)[number][]) =>
    isQuiet(one, learningMs, 0, { ...findingDefaults, mute })
  expect(muted({ finding: 'first_seen', subject: 'spiffe://a/*' })).toBe(true)
  expect(muted({ subject: 'spiffe://a/we' }, { finding: 'gap' }, { target: 'spiffe://b/*' })).toBe(false)
})

test('operations are as many as a path has shapes, whatever ids stand in it', () => {
  expect(operationOf('GET', '/orders/17')).toBe(operationOf('GET', '/orders/18'))
  expect(operationOf('GET', '/orders/17')).not.toBe(operationOf('GET', '/orders/open'))
  fc.assert(
    fc.property(fc.string(), fc.string({ maxLength: 5000 }), (method, path) => {
      expect(operationOf(method, path).length).toBeLessThanOrEqual(217)
    }),
  )
})
