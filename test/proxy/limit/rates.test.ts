import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RequestHead } from '../../../core/facts.ts'
import type { Identified } from '../../../core/identity.ts'
import type { ListenerLimits } from '../../../core/snapshot.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { fullBucket, refilled, taken, waitMs } from '../../../proxy/limit/bucket.ts'
import { makeRates, maxBuckets } from '../../../proxy/limit/rates.ts'

const caller = (name: string): Identified => ({
  ok: true,
  identity: { id: `spiffe://a.example/${name}` as SpiffeId } as never,
})
const head = (headers: Record<string, string> = {}, path = '/'): RequestHead => ({
  ...{ method: 'GET', authority: 'a', path, query: undefined, headers, protocol: 'HTTP/1.1', scheme: 'http' },
})
const two = { perSecond: 1, burst: 2 }

function asking(limits: ListenerLimits) {
  const rates = makeRates(limits)
  const ask = (name: string, headers?: Record<string, string>, path?: string, nowMs = 0): boolean =>
    rates.ask(caller(name), head(headers, path), nowMs) === undefined
  return { rates, ask }
}

test('a bucket never gives more than it holds and what has come since, whenever it is asked', () => {
  const size = fc.record({
    perSecond: fc.double({ min: 0.01, max: 1000, noNaN: true }),
    burst: fc.integer({ min: 1, max: 50 }),
  })
  fc.assert(
    fc.property(size, fc.array(fc.integer({ min: -100, max: 3000 }), { maxLength: 200 }), (size, steps) => {
      let bucket = fullBucket(size, 0)
      let [nowMs, latest, given] = [0, 0, 0]
      for (const step of steps) {
        nowMs += step
        latest = Math.max(latest, nowMs)
        bucket = refilled(bucket, nowMs, size)
        if (waitMs(bucket, size) > 0) continue
        bucket = taken(bucket)
        given++
      }
      expect(given).toBeLessThanOrEqual(size.burst + (latest * size.perSecond) / 1000 + 1e-6)
      const later = refilled(bucket, latest + waitMs(bucket, size), size)
      expect(waitMs(later, size)).toBeLessThanOrEqual(1)
    }),
  )
})

test('a listener takes what its bucket holds, and one more for each second', () => {
  const { rates, ask } = asking({ all: [two] })
  expect([ask('a'), ask('b'), ask('a')]).toEqual([true, true, false])
  expect(ask('a', {}, '/', 999)).toBe(false)
  expect([ask('a', {}, '/', 1000), ask('a', {}, '/', 1000)]).toEqual([true, false])
  expect(rates.ask(caller('a'), head(), 1000)).toMatchObject({
    verdict: 'deny',
    code: 'rate_limited',
    answer: { headers: { 'retry-after': '1' } },
  })
})

test('callers, header values and cookies have buckets of their own; requests without share one', () => {
  const byCaller = asking({ all: [{ ...two, burst: 1, by: { kind: 'caller' } }] }).ask
  expect([byCaller('a'), byCaller('a'), byCaller('b')]).toEqual([true, false, true])
  const byHeader = asking({ all: [{ ...two, burst: 1, by: { kind: 'header', name: 'x-tenant' } }] }).ask
  const tenants = [{ 'x-tenant': 'a' }, { 'x-tenant': 'a' }, { 'x-tenant': 'b' }, {}, {}]
  expect(tenants.map((headers) => byHeader('a', headers as never))).toEqual([true, false, true, true, false])
  const byCookie = asking({ all: [{ ...two, burst: 1, by: { kind: 'cookie', name: 'sid' } }] }).ask
  const cookies = ['sid=1', 'x=2; sid=1', 'sid=2; sid=1', 'xsid=2', 'a=b']
  expect(cookies.map((cookie) => byCookie('a', { cookie }))).toEqual([true, false, true, true, false])
})

test('a request that one limit refuses takes nothing from the others', () => {
  const { ask } = asking({ all: [two, { perSecond: 1, burst: 1, by: { kind: 'caller' } }] })
  expect([ask('a'), ask('a'), ask('a'), ask('b')]).toEqual([true, false, false, true])
})

test('a route has limits of its own, beside those of the listener; a narrower route keeps its requests from it', () => {
  const { ask } = asking({
    all: [{ perSecond: 1, burst: 3 }],
    routes: [
      { route: 'r/health/0', match: { path: { type: 'exact', value: '/a/health' } }, limits: [] },
      { route: 'r/a/0', match: { path: { type: 'prefix', value: '/a' } }, limits: [{ perSecond: 1, burst: 1 }] },
      { route: 'r/a/1', match: { path: { type: 'prefix', value: '/b' } }, limits: [{ perSecond: 1, burst: 1 }] },
    ],
  })
  const asked = ['/a/x', '/a/x', '/a/health', '/b', '/c', '/c'].map((path) => ask('a', {}, path))
  expect(asked).toEqual([true, false, true, false, true, false]) // Both matches of one rule share a bucket.
})

test('a newer snapshot keeps what was used of limits that stay', () => {
  const { rates, ask } = asking({ all: [two] })
  expect([ask('a'), ask('a')]).toEqual([true, true])
  rates.use({ all: [{ ...two }, { perSecond: 9, burst: 9 }] })
  expect(ask('a')).toBe(false)
  rates.use({ all: [{ ...two, burst: 3 }] })
  expect(ask('a')).toBe(true)
})

test('buckets are bounded: what was asked longest ago makes room', () => {
  const { ask } = asking({ all: [{ perSecond: 0.001, burst: 1, by: { kind: 'header', name: 'k' } }] })
  for (let i = 0; i < maxBuckets; i++) expect(ask('a', { k: String(i) })).toBe(true)
  expect(ask('a', { k: '5' })).toBe(false) // Takes nobody's place, having its own.
  expect(ask('a', { k: '0' })).toBe(false) // And is not forgotten, since it goes on asking.
  expect(ask('a', { k: 'one more' })).toBe(true)
  expect(ask('a', { k: '0' })).toBe(false)
  expect(ask('a', { k: '1' })).toBe(true)
})

test('who proved no name and a head that cannot be read are refused by what they are', () => {
  const { rates } = asking({ all: [{ perSecond: 0.001, burst: 1 }] })
  const stranger: Identified = { ok: false, code: 'identity_missing', detail: '' }
  for (let i = 0; i < 3; i++) {
    expect(rates.ask(stranger, head(), 0)).toBeUndefined()
    expect(rates.ask(caller('a'), { code: 'bad_request', detail: '' }, 0)).toBeUndefined()
  }
  expect(rates.ask(caller('a'), head(), 0)).toBeUndefined()
})
