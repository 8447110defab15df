import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Authorities,
  type AuthorityFacts,
  activate,
  activeOf,
  dueStep,
  prepare,
  preparedOf,
  undo,
  withdraw,
} from '../../ca/authorities.ts'

const minute = 60_000
const hour = 60 * minute
const times = { publishMs: 15 * minute, skewMs: hour, prepareMs: 12 * hour, renewMs: minute / 2 }
const leafMs = hour

let made = 0
const fresh = (nowMs: number, publishedIn: number, lifeMs = 48 * hour): AuthorityFacts => ({
  id: `a${++made}`,
  phase: 'prepared',
  root: new Uint8Array([made]),
  jwtKey: { kid: `k${made}`, kty: 'EC', crv: 'P-256', x: 'x', y: 'y' },
  notBeforeMs: nowMs,
  notAfterMs: nowMs + lifeMs,
  publishedIn,
  preparedAtMs: nowMs,
  longestMs: leafMs,
})

const first = (nowMs = 0): Authorities => ({
  ...{ sequence: 1, paused: false },
  list: [{ ...fresh(nowMs, 1), phase: 'active', activatedAtMs: nowMs }],
})

const moment = (nowMs: number, waiting: readonly string[] = [], heardSinceMs = 0) => ({ nowMs, waiting, heardSinceMs })

test('a new root is due at half the life of the old one, or earlier where so much is told', () => {
  const one = first()
  expect(dueStep(one, moment(36 * hour), times)).toBeUndefined()
  expect(dueStep(one, moment(36 * hour + 1), times)).toEqual({ step: 'prepare' })
  expect(dueStep(one, moment(24 * hour), { ...times, prepareMs: 1000 * hour })).toBeUndefined()
  expect(dueStep(one, moment(24 * hour + 1), { ...times, prepareMs: 1000 * hour })).toEqual({ step: 'prepare' })
})

test('it signs once it was published for long enough and everybody said that they have it', () => {
  const two = prepare(first(), fresh(0, 2))
  const { id } = preparedOf(two)!
  expect(two.sequence).toBe(2)
  expect(dueStep(two, moment(15 * minute - 1), times)).toBeUndefined()
  expect(dueStep(two, moment(15 * minute, ['orders']), times)).toBeUndefined()
  expect(dueStep(two, moment(15 * minute, [], minute), times)).toBeUndefined()
  expect(dueStep(two, moment(15 * minute), times)).toEqual({ step: 'activate', id })
  expect(dueStep({ ...two, paused: true }, moment(15 * minute), times)).toBeUndefined()
})

test('where the old root is about to end, those who lack the new one are no longer waited for', () => {
  const two = prepare(first(), fresh(40 * hour, 2))
  expect(dueStep(two, moment(46 * hour - 1, ['orders']), times)).toBeUndefined()
  expect(dueStep(two, moment(46 * hour, ['orders']), times)).toMatchObject({ step: 'activate' })
})

test('an old root leaves when the last leaf that it may have signed is over, and not before', () => {
  const two = prepare(first(), fresh(0, 2))
  const old = activeOf(two).id
  const next = activate(two, preparedOf(two)!.id, hour)
  expect(next.sequence).toBe(2)
  expect(dueStep(next, moment(3 * hour - 1), times)).toBeUndefined()
  expect(dueStep(next, moment(3 * hour), times)).toEqual({ step: 'withdraw', id: old })
  const last = withdraw(next, old)
  expect(last).toMatchObject({ sequence: 3, list: [{ phase: 'active' }] })
  expect(() => withdraw(last, activeOf(last).id)).toThrow('is active')
})

test('each step can be taken back: a prepared root goes, and a former one signs again', () => {
  const one = first()
  expect(undo(one, 0)).toBeUndefined()
  const two = prepare(one, fresh(0, 2))
  expect(undo(two, 0)).toEqual({ ...one, sequence: 3 })
  const next = activate(two, preparedOf(two)!.id, hour)
  const back = undo(next, 2 * hour)!
  expect(activeOf(back).id).toBe(activeOf(one).id)
  expect(back.list.map(({ phase, retiredAtMs }) => [phase, retiredAtMs])).toEqual([
    ['active', undefined],
    ['retired', 2 * hour],
  ])
  // And forth again, since that is a step as well.
  expect(activeOf(undo(back, 2 * hour)!).id).toBe(activeOf(next).id)
})

/** Workloads that take the bundle late, and leaves that are checked against what each has. */
test('whatever the delays: no living leaf is of a root that a workload lacks which said what it has', () => {
  const step = fc.record({
    passMs: fc.integer({ min: 0, max: 4 * hour }),
    reports: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
    does: fc.constantFrom('nothing', 'nothing', 'nothing', 'prepare', 'undo', 'pause'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      let nowMs = 0
      let state = first()
      const has = [1, 1, 1]
      const roots = new Map([[1, ids(state)]])
      const leaves: { root: string; untilMs: number }[] = []
      for (const { passMs, reports, does } of steps) {
        nowMs += passMs
        const before = state
        if (does === 'prepare' && !preparedOf(state) && state.list.length < 8) {
          state = prepare(state, fresh(nowMs, state.sequence + 1, 1000 * hour))
        }
        if (does === 'undo') state = undo(state, nowMs) ?? state
        if (does === 'pause') state = { ...state, paused: !state.paused }
        roots.set(state.sequence, ids(state))
        reports.forEach((told, i) => {
          if (told) has[i] = state.sequence
        })
        const prepared = preparedOf(state)
        const waiting = has.flatMap((sequence, i) => (prepared && sequence < prepared.publishedIn ? [`w${i}`] : []))
        const due = dueStep(state, moment(nowMs, waiting), { ...times, prepareMs: 0 })
        if (due?.step === 'activate') state = activate(state, due.id, nowMs)
        if (due?.step === 'withdraw') state = withdraw(state, due.id)
        roots.set(state.sequence, ids(state))

        expect(state.list.filter(({ phase }) => phase === 'active')).toHaveLength(1)
        expect(state.sequence).toBeGreaterThanOrEqual(before.sequence)
        leaves.push({ root: activeOf(state).id, untilMs: nowMs + leafMs })
        const living = new Set(leaves.filter(({ untilMs }) => untilMs > nowMs).map(({ root }) => root))
        // What is in no bundle now signed nothing that lives; what a workload knows holds all that lives.
        for (const root of living) {
          expect(ids(state)).toContain(root)
          for (const sequence of has) expect(roots.get(sequence)).toContain(root)
        }
      }
    }),
    { numRuns: 500 },
  )
})

const ids = ({ list }: Authorities): string[] => list.map(({ id }) => id)
