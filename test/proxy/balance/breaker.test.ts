import fc from 'fast-check'
import { expect, test } from 'vitest'
import { makeCircuit } from '../../../proxy/balance/breaker.ts'

const options = { failureThreshold: 3, openForMs: 1000, successThreshold: 2, minimumRequests: 5 }

function circuit(more: Partial<typeof options> = {}) {
  const clock = { ms: 0 }
  const made = makeCircuit(() => clock.ms, { ...options, ...more })
  const one = (said: 'success' | 'failure' | undefined): boolean => {
    const over = made.admit()
    over?.(said)
    return over !== undefined
  }
  const many = (...said: readonly ('success' | 'failure' | undefined)[]) => said.map(one)
  return { made, clock, many }
}

test('the third failure in a row opens it, the second and one after a success do not', () => {
  const { made, many } = circuit()
  many('success', 'success', 'failure', 'failure', 'success', 'failure', 'failure')
  expect(made.stats()).toBe('closed')
  expect(many('failure', 'success')).toEqual([true, false])
  expect(made.stats()).toBe('open')
})

test('below the least number of answers it stays closed, and what tells nothing is no answer', () => {
  const { made, many } = circuit()
  many('failure', 'failure', 'failure', 'failure', undefined)
  expect(made.stats()).toBe('closed')
  many('failure')
  expect(made.stats()).toBe('open')
})

test('after its time it lets as many trials through as must succeed, and closes when they have', () => {
  const { made, clock, many } = circuit({ minimumRequests: 1 })
  many('failure', 'failure', 'failure')
  clock.ms = 999
  expect(made.admit()).toBeUndefined()
  clock.ms = 1000
  expect(made.stats()).toBe('half-open')
  const trials = [made.admit(), made.admit()]
  expect(made.admit()).toBeUndefined()
  trials[0]!('success')
  expect(made.stats()).toBe('half-open')
  expect(made.admit()).toBeUndefined()
  trials[1]!('success')
  expect(made.stats()).toBe('closed')
})

test('a trial that fails opens it for another while, and one whose end tells nothing makes room for the next', () => {
  const { made, clock, many } = circuit({ minimumRequests: 1, successThreshold: 1 })
  many('failure', 'failure', 'failure')
  clock.ms = 1000
  expect(many(undefined, 'failure', 'success')).toEqual([true, true, false])
  clock.ms = 1999
  expect(made.admit()).toBeUndefined()
  clock.ms = 2000
  expect(many('success')).toEqual([true])
  expect(made.stats()).toBe('closed')
})

test('a request that was sent before a change of state says nothing after it', () => {
  const { made, clock, many } = circuit({ minimumRequests: 1, successThreshold: 1 })
  const [good, bad] = [made.admit()!, made.admit()!]
  many('failure', 'failure', 'failure')
  good('success')
  expect(made.stats()).toBe('open')
  clock.ms = 1000
  const trial = made.admit()!
  bad('failure')
  expect(made.admit()).toBeUndefined()
  trial('success')
  expect(made.stats()).toBe('closed')
})

test('whatever ends in whatever order: open passes nobody before its time, and it always comes back', () => {
  const step = fc.record({
    ms: fc.integer({ min: 0, max: 700 }),
    said: fc.constantFrom('success', 'failure', undefined),
    hold: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { made, clock, many } = circuit()
      const held: ReturnType<typeof made.admit>[] = []
      for (const { ms, said, hold } of steps) {
        clock.ms += ms
        const state = made.stats()
        const over = made.admit()
        if (state === 'open') expect(over).toBeUndefined()
        if (state === 'closed') expect(over).toBeDefined()
        if (hold) held.push(over)
        else over?.(said)
      }
      for (const over of held) over?.(undefined)
      clock.ms += options.openForMs
      many('success', 'success')
      expect(made.stats()).toBe('closed')
    }),
  )
})
