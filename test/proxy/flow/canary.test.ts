import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Canary,
  type CanaryRules,
  counted,
  decidesFor,
  newCanary,
  numbersOf,
  placeOf,
  type Side,
} from '../../../proxy/flow/canary.ts'

const rules = { maxRise: 5, minDecisions: 100, windowMs: 10_000 }

/** So many decisions of one side, of which so many are refusals, at one time. */
function after(canary: Canary, side: Side, asked: number, refused: number, nowMs = 0, by: CanaryRules = rules): Canary {
  let state = canary
  for (let i = 0; i < asked; i++) state = counted(state, side, i < refused, nowMs, by)
  return state
}

const both = (mine: readonly [number, number], others: readonly [number, number], by: CanaryRules = rules): Canary =>
  after(after(newCanary, 'inForce', ...others, 0, by), 'candidate', ...mine, 0, by)

test('a canary takes itself back when its refusals are more than maxRise points above the others', () => {
  expect(both([100, 15], [100, 10]).rolledBack).toBeUndefined() // Exactly 5.
  expect(both([100, 16], [100, 10]).rolledBack).toEqual({
    asked: 100,
    refused: 16,
    in_force_asked: 100,
    in_force_refused: 10,
  })
  expect(both([100, 100], [100, 100]).rolledBack).toBeUndefined()
  expect(both([100, 0], [100, 100]).rolledBack).toBeUndefined()
})

test('it is not judged by fewer decisions than minDecisions on either side', () => {
  expect(both([99, 99], [100, 0]).rolledBack).toBeUndefined()
  expect(both([100, 100], [99, 0]).rolledBack).toBeUndefined()
  expect(both([100, 100], [100, 0]).rolledBack).toBeDefined()
})

test('what left the window counts no more, a tenth of it at a time', () => {
  const others = after(newCanary, 'inForce', 100, 0, 0)
  expect(after(others, 'candidate', 100, 100, 10_999).rolledBack).toBeDefined()
  expect(after(others, 'candidate', 100, 100, 11_000).rolledBack).toBeUndefined()
})

test('once taken back it stays so, whatever comes', () => {
  const back = both([100, 100], [100, 0])
  expect(after(back, 'candidate', 1000, 0, 60_000)).toBe(back)
  expect(numbersOf(back)).toMatchObject({ asked: 100, refused: 100 })
})

test('the rule holds for any traffic, and the state stays small', () => {
  const step = fc.record({
    side: fc.constantFrom<Side>('candidate', 'inForce'),
    refused: fc.boolean(),
    passMs: fc.nat({ max: 400 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.nat({ max: 100 }), (steps, maxRise) => {
      const by = { maxRise, minDecisions: 5, windowMs: 2000 }
      let state = newCanary
      let nowMs = 0
      for (const { side, refused, passMs } of steps) {
        nowMs += passMs
        state = counted(state, side, refused, nowMs, by)
        expect(state.slices.length).toBeLessThanOrEqual(11)
        const { asked, refused: no, in_force_asked: others, in_force_refused: theirs } = numbersOf(state)
        const rise = asked > 0 && others > 0 ? (100 * no) / asked - (100 * theirs) / others : 0
        if (state.rolledBack) {
          expect(Math.min(asked, others)).toBeGreaterThanOrEqual(5)
          expect(rise).toBeGreaterThan(maxRise - 1e-9)
        } else if (asked >= 5 && others >= 5) expect(rise).toBeLessThanOrEqual(maxRise + 1e-9)
      }
    }),
  )
})

test('a caller is always on the same side, and a larger share takes nobody back to the other', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.nat({ max: 100 }), fc.nat({ max: 100 }), (name, caller, a, b) => {
      expect(placeOf(caller)).toBeGreaterThanOrEqual(0)
      expect(placeOf(caller)).toBeLessThan(100)
      expect(decidesFor({ name, percent: 0 }, caller)).toBe(false)
      expect(decidesFor({ name, percent: 100 }, caller)).toBe(true)
      if (decidesFor({ name, percent: Math.min(a, b) }, caller)) {
        expect(decidesFor({ name, percent: Math.max(a, b) }, caller)).toBe(true)
      }
    }),
  )
  // The same in every proxy: a change of these numbers would move callers from side to side in a mesh of two releases.
  expect(['web', 'orders', 'ledger'].map((name) => Math.floor(placeOf(`x\0spiffe://bank.example/${name}`)))).toEqual([
    56, 3, 94,
  ])
})

test('the share of callers is about the percentage, for names as meshes have them', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z-]{1,12}$/), fc.integer({ min: 1, max: 99 }), (name, percent) => {
      const callers = Array.from({ length: 4000 }, (_, i) => `spiffe://bank.example/ns/${name}/sa/app-${i}`)
      const share = (callers.filter((caller) => decidesFor({ name, percent }, caller)).length / 4000) * 100
      const sigma = Math.sqrt((percent * (100 - percent)) / 4000)
      expect(Math.abs(share - percent)).toBeLessThan(6 * sigma)
    }),
  )
})

test('two trials choose their callers apart', () => {
  const callers = Array.from({ length: 1000 }, (_, i) => `spiffe://bank.example/app-${i}`)
  const chosen = (name: string) => callers.filter((caller) => decidesFor({ name, percent: 50 }, caller))
  const one = new Set(chosen('one'))
  const shared = chosen('two').filter((caller) => one.has(caller)).length
  expect(shared).toBeGreaterThan(150)
  expect(shared).toBeLessThan(350)
})
