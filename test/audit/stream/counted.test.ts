import { array, assert, integer, property, record, string } from 'fast-check'
import { expect, test } from 'vitest'
import { addOutcome, newOutcomes, outcomesDue, takeOutcomes } from '../../../audit/stream/outcomes.ts'
import { countRefusal, newRefusals, takeRefusals } from '../../../audit/stream/refusals.ts'
import { utf8 } from '../../../core/bytes.ts'
import { canonicalJson, type Json } from '../../../core/json.ts'
import type { Outcome } from '../../../core/outcome.ts'

const outcome: Outcome = {
  code: 'upstream_unreachable',
  status: 503,
  requestBytes: 1,
  responseBytes: 2,
  durationUs: 3.7,
  upstream: '10.0.0.1:80',
}

test('outcomes are due after 200 ms, or at 256 of them; the 257th finds no room', () => {
  const outcomes = newOutcomes()
  addOutcome(outcomes, 1, outcome, 1000)
  expect([outcomesDue(outcomes, 1199), outcomesDue(outcomes, 1200)]).toEqual([false, true])
  for (let seq = 2; seq < 256; seq++) addOutcome(outcomes, seq, outcome, 1000)
  expect(outcomesDue(outcomes, 1000)).toBe(false)
  expect(addOutcome(outcomes, 256, outcome, 1000)).toBe(true)
  expect(outcomesDue(outcomes, 1000)).toBe(true)
  expect(addOutcome(outcomes, 257, outcome, 1000)).toBe(false)
  expect(takeOutcomes(outcomes)?.outcomes).toHaveLength(256)
  expect(takeOutcomes(outcomes)).toBeUndefined()
})

test('256 of the longest outcomes fit into a leaf, and an outcome of nonsense is recorded as zeros', () => {
  const outcomes = newOutcomes()
  const most = Number.MAX_SAFE_INTEGER
  for (let i = 0; i < 256; i++) {
    const longest = { ...outcome, requestBytes: most, responseBytes: most, durationUs: most, upstream: '"'.repeat(500) }
    addOutcome(outcomes, most, longest, 0)
  }
  const body = takeOutcomes(outcomes)
  expect(utf8(canonicalJson(body as unknown as Json)).length).toBeLessThan(65_535 - 3000)
  addOutcome(outcomes, 1, { ...outcome, durationUs: Number.NaN, status: -1, upstream: '\ud800' }, 0)
  expect(takeOutcomes(outcomes)?.outcomes).toEqual([
    {
      seq: 1,
      code: 'upstream_unreachable',
      status: 0,
      request_bytes: 1,
      response_bytes: 2,
      duration_us: 0,
      upstream: '?',
    },
  ])
})

test('outcomes with the most attempts fit into a leaf, which is full before there are 256', () => {
  const outcomes = newOutcomes()
  const most = Number.MAX_SAFE_INTEGER
  const attempt = { code: 'upstream_unreachable', status: 0, upstream: 'x'.repeat(100) } as const
  const longest = { ...outcome, requestBytes: most, responseBytes: most, durationUs: most, upstream: 'x'.repeat(100) }
  for (const [plain, attempts] of [
    [0, 10],
    [200, 10],
    [100, 1],
  ] as const) {
    for (let i = 0; i < plain; i++) addOutcome(outcomes, most, longest, 0)
    while (!outcomesDue(outcomes, 0)) {
      const tried = { attempts: Array.from({ length: attempts }, () => attempt) }
      expect(addOutcome(outcomes, most, { ...longest, ...tried, stopped: 'retry_nowhere' }, 0)).toBe(true)
    }
    const body = takeOutcomes(outcomes)
    expect(utf8(canonicalJson(body as unknown as Json)).length).toBeLessThan(65_535 - 3000)
  }
  const tried = { code: 'completed', status: 200, grpcStatus: 14, upstream: '10.0.0.1:80' } as const
  addOutcome(
    outcomes,
    1,
    {
      ...outcome,
      attempts: [attempt, tried, { code: 'completed', status: 200, upstream: '10.0.0.1:80' }],
      stopped: 'retry_limit',
    },
    0,
  )
  expect(takeOutcomes(outcomes)?.outcomes[0]).toMatchObject({
    attempts: [`${'x'.repeat(56)} upstream_unreachable`, '10.0.0.1:80 grpc 14', '10.0.0.1:80 200'],
    stopped: 'retry_limit',
  })
})

test('whatever strangers send, each refusal is counted once, distinct ones stay below 256 and records below a leaf', () => {
  const refusal = record({
    listener: string({ maxLength: 2 }),
    source: string({ unit: 'binary', maxLength: 80 }),
    code: string({ unit: 'binary', maxLength: 70 }),
    detail: integer({ min: 0, max: 400 }).map((length) => '\u0001'.repeat(length)),
  })
  assert(
    property(array(refusal, { maxLength: 600, size: 'max' }), (all) => {
      const refusals = newRefusals()
      for (const one of all) expect(countRefusal(refusals, one)).toBe(true)
      const bodies = takeRefusals(refusals)
      let counted = 0
      for (const body of bodies) {
        expect(utf8(canonicalJson(body as unknown as Json)).length).toBeLessThan(60_000)
        expect(body.refusals.length).toBeLessThanOrEqual(256)
        for (const { count, detail } of body.refusals) {
          counted += count
          expect(detail.length).toBeLessThanOrEqual(200)
        }
        counted += body.others
      }
      expect(counted).toBe(all.length)
      expect(takeRefusals(refusals)).toEqual([])
    }),
    { numRuns: 30 },
  )
})

test('the 256th distinct source of a second is named, the 257th only counted', () => {
  const refusals = newRefusals()
  for (let i = 0; i < 257; i++) countRefusal(refusals, { listener: 'l', source: `s${i}`, code: 'tls', detail: '' })
  const [body, ...more] = takeRefusals(refusals)
  expect(more).toEqual([])
  expect(body).toMatchObject({ others: 1 })
  expect(body!.refusals).toHaveLength(256)
})

test('what somebody counted already counts that often, and takes one place', () => {
  const refusals = newRefusals()
  const refusal = { listener: 'edge', source: '10.0.0.1', code: 'identity_missing', detail: 'no token' }
  countRefusal(refusals, { ...refusal, count: 40 })
  countRefusal(refusals, refusal)
  for (let i = 0; i < 256; i++) countRefusal(refusals, { ...refusal, source: `10.1.0.${i}`, count: 3 })
  const [body] = takeRefusals(refusals)
  expect(body!.refusals[0]).toMatchObject({ count: 41 })
  expect(body!.others).toBe(3)
})
