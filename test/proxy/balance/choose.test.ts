import fc from 'fast-check'
import { expect, test } from 'vitest'
import { makeBalancer } from '../../../proxy/balance/balancer.ts'
import { type Lookup, makeMaglev } from '../../../proxy/balance/maglev.ts'
import { makeRing } from '../../../proxy/balance/ring.ts'

const all = (): boolean => true
const keys = Array.from({ length: 2000 }, (_, at) => `user-${at}`)
const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `10.0.0.${at} 8080`)

/** Which name each key is of. */
const owners = (of: readonly string[], make: (names: readonly string[]) => Lookup): string[] => {
  const lookup = make(of)
  return keys.map((key) => of[lookup(key, all)!]!)
}

test('ring hash: who leaves moves its own keys and no other, whatever the order of endpoints', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 12 }), fc.nat(), (count, leaver) => {
      const before = names(count)
      const gone = before[leaver % count]!
      const was = owners(before, makeRing)
      const is = owners(before.filter((name) => name !== gone).toReversed(), makeRing)
      for (const [at, owner] of was.entries()) if (owner !== gone) expect(is[at]).toBe(owner)
    }),
    { numRuns: 30 },
  )
})

test('Maglev: who leaves moves its own keys, and of the others one in ten at most; the order of endpoints says nothing', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 12 }), fc.nat(), (count, leaver) => {
      const before = names(count)
      const gone = before[leaver % count]!
      const was = owners(before, makeMaglev)
      expect(owners(before.toReversed(), makeMaglev)).toEqual(was)
      const is = owners(before.filter((name) => name !== gone).toReversed(), makeMaglev)
      const moved = was.filter((owner, at) => owner !== gone && owner !== is[at]).length
      expect(moved).toBeLessThan(keys.length / 10)
    }),
    { numRuns: 30 },
  )
})

test.each([
  ['ring hash', makeRing, 0.5],
  ['Maglev', makeMaglev, 0.25],
])('%s gives each endpoint its share of keys, more or less', (_, make, off) => {
  for (const count of [2, 5, 10]) {
    const of = names(count)
    const counts = new Map(of.map((name) => [name, 0]))
    for (const owner of owners(of, make)) counts.set(owner, counts.get(owner)! + 1)
    for (const share of counts.values()) {
      expect(Math.abs(share / (keys.length / count) - 1)).toBeLessThan(off)
    }
  }
})

test.each([
  ['ring hash', makeRing],
  ['Maglev', makeMaglev],
])('%s passes over who is not able, and keeps every other key where it is', (_, make) => {
  const of = names(5)
  const lookup = make(of)
  for (const key of keys.slice(0, 500)) {
    const owner = lookup(key, all)!
    const without = lookup(key, (index) => index !== 2)!
    expect(without).not.toBe(2)
    if (owner !== 2) expect(without).toBe(owner)
  }
  expect(lookup('any', () => false)).toBeUndefined()
  expect(make([])('any', all)).toBeUndefined()
})

const ended = { code: 'completed', status: 200, durationUs: 1000 } as const

function balanced(type: Parameters<ReturnType<typeof makeBalancer>['use']>[1], ports: readonly number[]) {
  let state = 1
  const fraction = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const balancer = makeBalancer({ nowMs: () => 0, fraction })
  balancer.use(
    ports.map((port) => ({ address: '127.0.0.1', port, identity: undefined })),
    type,
  )
  return balancer
}

test('round robin asks one after the other, and goes on so where one is ejected', () => {
  const balancer = balanced({ type: 'round-robin' }, [1, 2, 3])
  const asked = Array.from({ length: 6 }, () => balancer.pick()!.endpoint.port)
  expect(new Set(asked.slice(0, 3))).toEqual(new Set([1, 2, 3]))
  expect(asked.slice(3)).toEqual(asked.slice(0, 3))
  for (let i = 0; balancer.stats().every(({ ejected }) => !ejected); i++) {
    const member = balancer.pick()!
    balancer.begin(member)({ ...ended, status: member.endpoint.port === 2 ? 500 : 200 })
    expect(i).toBeLessThan(100)
  }
  expect(Array.from({ length: 6 }, () => balancer.pick()!.endpoint.port)).not.toContain(2)
})

test('least request looks at what is in flight and not at how long answers take', () => {
  const balancer = balanced({ type: 'least-request' }, [1, 2])
  const held = balancer.pick()!
  balancer.begin(held)
  const other = balancer.pick()!
  expect(other).not.toBe(held)
  balancer.begin(other)({ ...ended, durationUs: 60_000_000 })
  expect(balancer.pick()).toBe(other)
})

test('random asks everybody', () => {
  const balancer = balanced({ type: 'random' }, [1, 2, 3])
  expect(new Set(Array.from({ length: 60 }, () => balancer.pick()!.endpoint.port)).size).toBe(3)
})

test('one key keeps its endpoint, and a request without one goes to any', () => {
  const balancer = balanced({ type: 'maglev' }, [1, 2, 3])
  const portOf = (key?: string): number => balancer.pick(key)!.endpoint.port
  expect(new Set(Array.from({ length: 20 }, () => portOf('ann'))).size).toBe(1)
  expect(new Set(keys.slice(0, 50).map((key) => portOf(key))).size).toBe(3)
  expect(new Set(Array.from({ length: 60 }, () => portOf())).size).toBe(3)
})

test('settings of ejection count: of two failures in a row, and of nobody where the share is 0', () => {
  const eager = { consecutive: 2, baseMs: 1000, maxMs: 1000, maxShare: 0.5 }
  for (const [maxShare, ejected] of [
    [0.5, true],
    [0, false],
  ] as const) {
    const balancer = balanced({ type: 'round-robin', outlier: { ...eager, maxShare } }, [1, 2])
    const member = balancer.pick()!
    for (let i = 0; i < 2; i++) balancer.begin(member)({ ...ended, status: 500 })
    expect(balancer.stats().some((one) => one.ejected)).toBe(ejected)
  }
})
