import fc from 'fast-check'
import { expect, test } from 'vitest'
import { afterGood, afterRollback, delayAfter, type Polling, type SourceState } from '../../engine/poll.ts'

const polling: Polling = { minMs: 60_000, maxMs: 120_000, waitS: 60 }
const answered = { kind: 'answered', news: false, waitedS: 0, tookMs: 5 } as const

test('after an answer the next request comes between the two delays', () => {
  expect(delayAfter(answered, polling, 0)).toBe(60_000)
  expect(delayAfter(answered, polling, 0.5)).toBe(90_000)
})

test('a long poll is followed by the next one; a server that does not wait is polled as any other', () => {
  expect(delayAfter({ ...answered, waitedS: 60, tookMs: 60_000 }, polling, 0)).toBe(0)
  expect(delayAfter({ ...answered, waitedS: 60, tookMs: 5 }, polling, 0)).toBe(60_000)
  expect(delayAfter({ ...answered, waitedS: 60, news: true }, polling, 0)).toBe(1000)
})

test('failures back off to the longest delay and no further', () => {
  const after = (failures: number) => delayAfter({ kind: 'failed', failures }, polling, 0.5)
  expect([1, 2, 3].map(after)).toEqual([750, 1500, 3000])
  expect(after(8)).toBe(90_000)
  expect(after(1e9)).toBe(90_000)
})

const empty: SourceState = { v: 1, url: 'https://b/bundles/a', served: undefined, inForce: undefined, kept: [] }
const bundle = (n: number) => ({ sha256: `d${n}`, revision: `r${n}`, atMs: n })
const gave = (state: SourceState, n: number) => afterGood(state, bundle(n), `"${n}"`, 5)

test('a rollback holds while the server gives the same, and ends with the next that is new', () => {
  const three = [1, 2, 3].reduce(gave, empty)
  const back = afterRollback(three, 'r1')!
  expect(back.inForce).toBe('d1')
  expect(gave(back, 3).inForce).toBe('d1')
  expect(gave(back, 4).inForce).toBe('d4')
  // What was left before is new again once the server gives it instead of another.
  expect(gave(back, 2).inForce).toBe('d2')
  expect(afterRollback(three, 'r9')).toBeUndefined()
})

test('whatever comes, what is in force is kept, no more than five are, and none twice', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 9 })), { maxLength: 40 }), (steps) => {
      let state = empty
      for (const [back, n] of steps) {
        state = back ? (afterRollback(state, `r${n}`) ?? state) : gave(state, n)
        const digests = state.kept.map(({ sha256 }) => sha256)
        expect(digests.length).toBeLessThanOrEqual(5)
        expect(new Set(digests).size).toBe(digests.length)
        if (state.inForce !== undefined) expect(digests).toContain(state.inForce)
        if (!back) expect(state.served?.sha256).toBe(`d${n}`)
      }
    }),
  )
})
