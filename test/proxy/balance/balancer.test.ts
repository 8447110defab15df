import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Endpoint } from '../../../core/snapshot.ts'
import { outlierDefaults } from '../../../core/traffic.ts'
import { makeBalancer } from '../../../proxy/balance/balancer.ts'
import { afterAnswer, latencyAt } from '../../../proxy/balance/ewma.ts'
import { afterFailure, afterSuccess, healthy, isEjected } from '../../../proxy/balance/outlier.ts'

const endpoint = (port: number): Endpoint => ({ address: '127.0.0.1', port, identity: undefined })
const ended = (ms: number, status = 200) => ({ code: 'completed', status, durationUs: ms * 1000 }) as const

/** Numbers that look like chance and are the same in each run. */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function balanced(ports: readonly number[], seed = 1) {
  const clock = { ms: 0 }
  const balancer = makeBalancer({ nowMs: () => clock.ms, fraction: chance(seed) })
  balancer.use(ports.map(endpoint))
  /** Asks many times, one after the other; how often each port was asked. */
  const ask = (times: number, answer: (port: number) => ReturnType<typeof ended>) => {
    const asked: Record<number, number> = {}
    for (let i = 0; i < times; i++) {
      const member = balancer.pick()!
      const { port } = member.endpoint
      asked[port] = (asked[port] ?? 0) + 1
      balancer.begin(member)(answer(port) as never)
      clock.ms += 10
    }
    return asked
  }
  return { balancer, clock, ask }
}

test('a slower answer counts at once, a faster one little by little, and time makes both fade', () => {
  const after = afterAnswer({ ms: 10, atMs: 0 }, 100, 0)
  expect(after.ms).toBe(100)
  expect(afterAnswer(after, 10, 100).ms).toBeGreaterThan(95)
  expect(latencyAt(after, 10_000)).toBeCloseTo(100 / Math.E)
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e5, noNaN: true }),
      fc.double({ min: 0, max: 1e5, noNaN: true }),
      fc.nat(),
      (was, took, at) => {
        const { ms } = afterAnswer({ ms: was, atMs: 0 }, took, at)
        expect(ms).toBeGreaterThanOrEqual(Math.min(was, took) * (1 - 1e-9))
        expect(ms).toBeLessThanOrEqual(Math.max(was, took) * (1 + 1e-9))
      },
    ),
  )
})

test('the faster of two endpoints gets most of the requests, whatever chance says', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const asked = balanced([1, 2], seed).ask(200, (port) => ended(port === 1 ? 5 : 50))
      expect(asked[1] ?? 0).toBeGreaterThan(150)
    }),
    { numRuns: 50 },
  )
})

test('what is in flight goes to the endpoint that has less of it', () => {
  const { balancer } = balanced([1, 2])
  const held = Array.from({ length: 100 }, () => {
    const member = balancer.pick()!
    return { member, over: balancer.begin(member) }
  })
  expect(balancer.stats().map(({ inFlight }) => inFlight)).toEqual([50, 50])
  for (const { over } of held) over(ended(5) as never)
  expect(balancer.stats().map(({ inFlight }) => inFlight)).toEqual([0, 0])
})

test('the fifth failure in a row ejects, the fourth and one after a success do not; each time it takes longer', () => {
  const fail = (times: number, from = healthy, nowMs = 0) =>
    Array.from({ length: times }).reduce<typeof healthy>((it) => afterFailure(it, nowMs, outlierDefaults, true), from)
  expect(isEjected(fail(4), 0)).toBe(false)
  expect(fail(5)).toEqual({ failures: 0, ejections: 1, ejectedUntilMs: 30_000 })
  expect(isEjected(fail(1, afterSuccess(fail(4), 0, outlierDefaults)), 0)).toBe(false)
  expect(isEjected(fail(5), 30_000)).toBe(false)
  expect(fail(5, fail(5), 40_000).ejectedUntilMs).toBe(100_000)
  expect(afterSuccess(fail(5), 60_000, outlierDefaults).ejections).toBe(0)
  expect(fail(5, { failures: 0, ejections: 99, ejectedUntilMs: 1 }, 1000).ejectedUntilMs).toBe(301_000)
})

test('one that fails is asked no more for a time; never more than half of them are, and never the last', () => {
  const { balancer, clock } = balanced([1, 2, 3, 4])
  const members = new Map<number, NonNullable<ReturnType<typeof balancer.pick>>>()
  for (let i = 0; i < 50; i++) {
    const member = balancer.pick()!
    balancer.begin(member) // Stays in flight, so that the others have their turn.
    members.set(member.endpoint.port, member)
  }
  expect(members.size).toBe(4)
  for (const port of [2, 3, 4]) for (let i = 0; i < 5; i++) balancer.begin(members.get(port)!)(ended(1, 503) as never)
  expect(balancer.stats().filter(({ ejected }) => ejected)).toHaveLength(2)
  balancer.use([1, 2, 3, 4].map(endpoint)) // A newer snapshot forgets nothing.
  expect(balancer.stats().filter(({ ejected }) => ejected)).toHaveLength(2)
  clock.ms += 300_000
  expect(balancer.stats().filter(({ ejected }) => ejected)).toHaveLength(0)

  const one = balanced([1])
  one.ask(20, () => ended(1, 503))
  expect(one.balancer.pick()?.endpoint.port).toBe(1)
  expect(balanced([]).balancer.pick()).toBeUndefined()
})

test('refusals below 500 and callers who leave eject nobody', () => {
  const { balancer, ask } = balanced([1, 2])
  ask(50, () => ended(1, 404))
  ask(50, () => ({ ...ended(1, 0), code: 'caller_gone' }) as never)
  expect(balancer.stats().some(({ ejected }) => ejected)).toBe(false)
})

test('who fails at once draws fewer requests than who takes its time to serve', () => {
  const asked = balanced([1, 2]).ask(100, (port) => (port === 1 ? ended(0, 503) : ended(50)))
  expect(asked[1] ?? 0).toBeLessThan(3) // It would be ejected after five only.
})

test.each(['round-robin', 'random', 'least-request', 'peak-ewma'] as const)(
  '%s: an endpoint that is new, or comes back, gets more with time, and those of the beginning have all at once',
  (type) => {
    const clock = { ms: 1000 }
    const balancer = makeBalancer({ nowMs: () => clock.ms, fraction: chance(7) })
    const options = {
      type,
      warmUp: { ms: 1000, from: 0.1 },
      outlier: { ...outlierDefaults, consecutive: 1, baseMs: 500 },
    }
    balancer.use([1, 2].map(endpoint), options)
    /** How often it is asked of 400 times. */
    const share = (port: number): number => {
      let asked = 0
      for (let i = 0; i < 400; i++) {
        const member = balancer.pick()!
        if (member.endpoint.port === port) asked++
        balancer.begin(member)(ended(10))
      }
      return asked
    }
    expect(share(2)).toBeGreaterThan(120)
    balancer.use([1, 2, 3].map(endpoint), options)
    expect(share(3)).toBeLessThan(60)
    clock.ms += 1000
    const warm = share(3)
    expect(warm).toBeGreaterThan(80)
    // It fails and is ejected, and comes back after its time.
    for (;;) {
      const member = balancer.pick()!
      balancer.begin(member)(ended(10, member.endpoint.port === 3 ? 500 : 200))
      if (member.endpoint.port === 3) break
    }
    expect(share(3)).toBe(0)
    clock.ms += 500
    expect(share(3)).toBeLessThan(60)
  },
)
