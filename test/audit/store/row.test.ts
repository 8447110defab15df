import fc from 'fast-check'
import { expect, test } from 'vitest'
import { maxTextBytes, outcomeRowsOf, recordRowOf } from '../../../audit/store/row.ts'
import { type AuditEvent, type EventBody, parseEvent } from '../../../core/record.ts'
import { id, Producer } from '../verify/producer.ts'

function parsed(bytes: Uint8Array): AuditEvent {
  const read = parseEvent(bytes)
  if ('wrong' in read) throw new Error(read.wrong)
  return read.event
}

test('an inbound decision targets its workload, an outbound one the service it asked for', () => {
  const inbound = recordRowOf(parsed(restarted().decision()))
  expect(inbound).toMatchObject({
    kind: 'decision',
    at: '2026-11-23T12:00:00.000000Z',
    caller: id('web'),
    target: id('orders'),
    method: 'GET',
    path: '/orders/1',
    verdict: 'allow',
    bundle: 'orders',
    revision: 'r1',
    serial: '0a1b',
    sourceAddress: '10.0.0.7',
  })
  const outbound = recordRowOf(parsed(restarted().decision({ direction: 'outbound' })))
  expect(outbound.target).toBe('orders')
})

test('a path is kept without its query', () => {
  expect(recordRowOf(parsed(restarted().decision({ path: '/a/b?token=secret' }))).path).toBe('/a/b')
  expect(recordRowOf(parsed(restarted().decision({ path: '/a/b' }))).path).toBe('/a/b')
})

test('text that a b-tree or PostgreSQL cannot hold is cut or mended, other text is kept whole', () => {
  const path = `/${'ü'.repeat(1100)}`
  const row = recordRowOf(parsed(restarted().decision({ path, requestId: 'a\u0000b' })))
  expect(row.path).toBe(`/${'ü'.repeat(1023)}`)
  expect(row.requestId).toBe('a\ufffdb')
  expect(recordRowOf(parsed(restarted().decision({ path: `/${'u'.repeat(2047)}` }))).path).toHaveLength(2048)
})

test('outcomes become a row each, and items that are none are left out', () => {
  const item = { code: 'completed', status: 200, request_bytes: 1, response_bytes: 2, duration_us: 3, upstream: 'a:1' }
  const outcomes = [{ seq: 1, ...item }, { seq: -1, ...item }, 'no', { seq: 2, ...item, status: 'no' }]
  const event = parsed(restarted().write({ kind: 'outcomes', outcomes } as unknown as EventBody))
  expect(outcomeRowsOf({ ...event, seq: 2 })).toHaveLength(1) // A decision that was not made yet has not ended.
  const rows = outcomeRowsOf({ ...event, seq: 3 })
  expect(rows.map(({ seq, status }) => [seq, status])).toEqual([
    [1, 200],
    [2, 0],
  ])
})

test('an outcome tells what was tried before, each on a line, and why no more', () => {
  const item = {
    seq: 1,
    code: 'completed',
    status: 200,
    request_bytes: 1,
    response_bytes: 2,
    duration_us: 3,
    upstream: 'a:1',
  }
  const rows = (more: object) =>
    outcomeRowsOf(parsed(restarted().write({ kind: 'outcomes', outcomes: [{ ...item, seq: 0, ...more }] } as never)))
  expect(rows({ attempts: ['a:1 503', 'b:1 upstream_reset'], stopped: 'retry_limit' })).toMatchObject([
    { attempts: ['a:1 503', 'b:1 upstream_reset'], stopped: 'retry_limit' },
  ])
  expect(rows({})).toMatchObject([{ attempts: [], stopped: null }])
  expect(rows({ attempts: ['a\nb', 7], stopped: 7 })).toMatchObject([{ attempts: ['a b', ''], stopped: null }])
})

test('no body, however strange, makes a row that PostgreSQL refuses', () => {
  const strange = fc.record({
    kind: fc.constantFrom('decision', 'opa_decision', 'outcomes', 'head'),
    ...Object.fromEntries(
      ['direction', 'workload', 'reasons', 'bundles', 'input', 'peer', 'outcomes', 'enforced', 'request_id'].map(
        (key) => [key, fc.jsonValue() as fc.Arbitrary<unknown>],
      ),
    ),
    event: fc.oneof(
      fc.jsonValue(),
      fc.dictionary(fc.constantFrom('path', 'bundles', 'input', 'decision_id'), fc.jsonValue()),
    ),
  })
  fc.assert(
    fc.property(strange, (body) => {
      const template = parsed(restarted().decision())
      const event = { ...template, ...body } as unknown as AuditEvent
      for (const value of Object.values({ ...recordRowOf(event) })) checkColumn(value)
      for (const row of outcomeRowsOf(event)) for (const value of Object.values(row)) checkColumn(value)
    }),
    { numRuns: 300 },
  )
})

function checkColumn(value: unknown): void {
  if (Array.isArray(value)) for (const item of value) checkColumn(item)
  if (typeof value === 'string') {
    expect(new TextEncoder().encode(value).length).toBeLessThanOrEqual(maxTextBytes)
    expect(value.includes('\u0000')).toBe(false)
    expect(value.isWellFormed()).toBe(true)
  }
  if (typeof value === 'number') expect(Number.isSafeInteger(value)).toBe(true)
}

function restarted(producer: Producer = new Producer('orders')): Producer {
  producer.seq = 1
  return producer
}
