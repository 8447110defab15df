import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Endpoint } from '../../../core/snapshot.ts'
import { makeBalancer } from '../../../proxy/balance/balancer.ts'
import { nearestOf, nearness } from '../../../proxy/balance/locality.ts'
import type { Member } from '../../../proxy/balance/member.ts'

const at = (port: number, locality?: string): Endpoint => ({
  ...{ address: '127.0.0.1', port, identity: undefined },
  ...(locality !== undefined && { locality }),
})

/** Numbers that look like chance and are the same in each run. */
function chance(): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function balanced(endpoints: readonly Endpoint[], options: Parameters<ReturnType<typeof makeBalancer>['use']>[1]) {
  const balancer = makeBalancer({ nowMs: () => 0, fraction: chance() })
  balancer.use(endpoints, { type: 'random', ...options })
  const fail = (port: number): void => {
    // Others take what chance gives them meanwhile; nothing of it is counted.
    for (let failures = 0; failures < 5; ) {
      const member = balancer.pick()!
      const over = balancer.begin(member)
      if (member.endpoint.port !== port) over({ code: 'caller_gone', status: 0, durationUs: 1 })
      else {
        failures++
        over({ code: 'upstream_reset', status: 0, durationUs: 1 })
      }
    }
  }
  /** How many of a thousand requests from there went to each port. */
  const from = (locality: string | undefined, key?: string): Record<number, number> => {
    const asked: Record<number, number> = {}
    for (let i = 0; i < 1000; i++) {
      const { port } = balancer.pick(key, undefined, locality)!.endpoint
      asked[port] = (asked[port] ?? 0) + 1
    }
    return asked
  }
  return { balancer, fail, from }
}

const three = [at(1, 'eu/a'), at(2, 'eu/b'), at(3, 'us/a')]

test('the own zone goes first, then the own region; who says nothing of where it is asks all alike', () => {
  const { from } = balanced(three, {})
  expect(from('eu/a')).toEqual({ 1: 1000 })
  expect(from('us/b')).toEqual({ 3: 1000 })
  expect(Object.keys(from(undefined))).toEqual(['1', '2', '3'])
  expect(Object.keys(from('asia/a'))).toEqual(['1', '2', '3'])
  const region = from('eu/c')
  expect(region[3]).toBeUndefined()
  expect(region[2]).toBeGreaterThan(300)
})

test('a locality is near by whole steps from the front', () => {
  expect(nearness('eu/a/1', 'eu/a/1')).toBe(3)
  expect(nearness('eu/a/1', 'eu/a')).toBe(2)
  expect(nearness('eu/a', 'eu/a/1')).toBe(2)
  expect(nearness('eu/a', 'eu/ab')).toBe(1)
  expect(nearness('eu', 'us/eu')).toBe(0)
  expect(nearness('eu', undefined)).toBe(0)
})

test('requests leave the zone in proportion to what it lacks: 5 of 7 endpoints are enough, 4 of 7 keep 80 percent', () => {
  const near = Array.from({ length: 7 }, (_, i) => at(i + 1, 'eu/a'))
  const { fail, from } = balanced([...near, at(9, 'eu/b'), at(10, 'us/a')], {
    outlier: { consecutive: 5, baseMs: 60_000, maxMs: 60_000, maxShare: 1 },
  })
  for (const port of [1, 2]) fail(port)
  expect(from('eu/a')[9]).toBeUndefined()
  fail(3)
  const some = from('eu/a')
  expect(some[9]).toBeGreaterThan(170)
  expect(some[9]).toBeLessThan(230)
  expect(some[10]).toBeUndefined()
  for (const port of [4, 5, 6, 7]) fail(port)
  expect(from('eu/a')).toEqual({ 9: 1000 })
  fail(9)
  expect(from('eu/a')).toEqual({ 10: 1000 })
})

test('a service may ask for all alike, and a key keeps its endpoint within the zone', () => {
  expect(Object.keys(balanced(three, { locality: 'any' }).from('eu/a'))).toEqual(['1', '2', '3'])
  const { from } = balanced([at(1, 'eu/a'), at(2, 'eu/a'), at(3, 'us/a')], { type: 'maglev' })
  const ports = ['ann', 'bob', 'cy', 'dee', 'eve', 'flo'].map((key) => Object.keys(from('eu/a', key)))
  expect(ports.every((of) => of.length === 1 && of[0] !== '3')).toBe(true)
})

test('whatever is able, whoever is chosen is able; and the shares of the levels are the whole', () => {
  const level = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(
      fc.array(level, { minLength: 1, maxLength: 4 }),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      (given, point) => {
        fc.pre(given.flat().some(Boolean))
        const able = new Set<Member>()
        const levels = given.map((of, i) =>
          of.map((isAble, j) => {
            const member = { key: `${i} ${j}` } as Member
            if (isAble) able.add(member)
            return member
          }),
        )
        const chosen = nearestOf(levels, able, () => point)
        expect(chosen.length).toBeGreaterThan(0)
        for (const member of chosen) expect(able.has(member)).toBe(true)
        expect(levels.some((one) => chosen.every((member) => one.includes(member)))).toBe(true)
      },
    ),
  )
})
