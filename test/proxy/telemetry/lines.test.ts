import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type AccessEntry, entryOf, lineOf, makeAccessLog } from '../../../proxy/telemetry/access-log.ts'
import { makeTaps, maxTaps, passes } from '../../../proxy/telemetry/tap.ts'
import { readParent, spanHeaders } from '../../../proxy/telemetry/trace-context.ts'
import { denied, facts, head, kept, served, web } from './served.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'

test('a line has the caller, the decision id, durations and flags', () => {
  expect(entryOf(denied())).toMatchObject({
    ...{ source: web, decision_id: `${kept.epoch}-17`, flags: 'UAEX', status: 403, code: 'policy_denied' },
    ...{ duration_ms: 0.812, answered_by: 'proxy', method: 'GET', path: '/orders/7' },
  })
  expect(entryOf(served()).answered_by).toBe('upstream')
})

test('what a binding calls personal is in no line', () => {
  const use = { personal: ['path', 'source address'] } as never
  expect(entryOf(served({ use }))).toMatchObject({ path: '(personal)', source_address: '(personal)' })
})

test('whatever a caller writes, its line is one line', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (path, authority) => {
      const entry = entryOf(served({ facts: facts({ head: head({ path, authority }) }) }))
      expect(lineOf(entry, 'text')).not.toMatch(/[\n\r]/)
      expect((JSON.parse(lineOf(entry, 'json')) as AccessEntry).path).toBe(path)
    }),
    { numRuns: 40 },
  )
})

test('lines beyond the buffer are dropped and counted, and there is room again once it is emptied', () => {
  let waiting = 0
  const out: string[] = []
  const log = makeAccessLog('json', { write: (text) => void out.push(text), waiting: () => waiting }, 1000)
  waiting = 1000
  log.served(served())
  expect([log.written(), log.dropped()]).toEqual([0, 1])
  waiting = 0
  log.served(served())
  log.flush()
  expect(out.join('').split('\n')).toHaveLength(2)
  expect([log.written(), log.dropped()]).toEqual([1, 1])
})

test('a tap shows what its filter lets through, and no more a second than it is asked for', () => {
  const taps = makeTaps()
  const shown: AccessEntry[] = []
  const close = taps.open({ verdict: 'deny', path: '/orders' }, 2, (entry) => shown.push(entry) > 0)
  taps.served(served())
  for (let i = 0; i < 5; i++) taps.served(denied())
  expect(shown.map(({ verdict }) => verdict)).toEqual(['deny', 'deny'])
  expect(taps.missed()).toBe(3)
  close()
  taps.served({ ...denied(), facts: facts({ atNs: 1n }) })
  expect(shown).toHaveLength(2)
  for (let i = 0; i < maxTaps; i++) taps.open({}, 1, () => true)
  expect(() => taps.open({}, 1, () => true)).toThrow(/taps are open/)
})

test('each member of a filter must hold', () => {
  for (const filter of [
    { source: web },
    { status: '2xx' },
    { status: '200' },
    { service: 'orders' },
    { code: 'allowed' },
  ]) {
    expect(passes(filter, served())).toBe(true)
  }
  for (const filter of [{ source: 'x' }, { status: '5xx' }, { status: '201' }, { method: 'POST' }, { route: 'x' }]) {
    expect(passes(filter, served())).toBe(false)
  }
})

const parentOf = (headers: Record<string, string>) => readParent(head({ headers }))

test('W3C, B3 in one field and B3 in several are read alike', () => {
  const same = { traceId, spanId, sampled: true, random: false, stateHolds: false }
  expect(parentOf({ traceparent: `00-${traceId}-${spanId}-01` })).toEqual({ ...same, stateHolds: true, said: 'w3c' })
  expect(parentOf({ traceparent: `cc-${traceId}-${spanId}-01-later` })).toEqual({
    ...same,
    stateHolds: true,
    said: 'w3c',
  })
  expect(parentOf({ b3: `${traceId}-${spanId}-1` })).toEqual({ ...same, said: 'b3' })
  expect(parentOf({ 'x-b3-traceid': traceId, 'x-b3-spanid': spanId, 'x-b3-sampled': '1' })).toEqual({
    ...same,
    said: 'b3multi',
  })
  expect(parentOf({ b3: `${traceId.slice(16)}-${spanId}-0` })).toMatchObject({
    traceId: `${'0'.repeat(16)}${traceId.slice(16)}`,
    sampled: false,
  })
  expect(parentOf({ b3: `${traceId}-${spanId}` })?.sampled).toBeUndefined()
})

test('a trace that is not whole is none', () => {
  for (const traceparent of [
    ...[`ff-${traceId}-${spanId}-01`, `00-${'0'.repeat(32)}-${spanId}-01`, `00-${traceId}-${'0'.repeat(16)}-01`],
    ...[`00-${traceId.toUpperCase()}-${spanId}-01`, `00-${traceId}-${spanId}-01-more`, `00-${traceId}-${spanId}`, ''],
    `00-${traceId}-${spanId}-01, 00-${traceId}-${spanId}-01`,
  ]) {
    expect(parentOf({ traceparent })).toBeUndefined()
  }
  for (const b3 of [
    `${'0'.repeat(32)}-${spanId}-1`,
    `${traceId}-${spanId}-2`,
    `${traceId}-${'0'.repeat(16)}`,
    '0',
    '',
  ]) {
    expect(parentOf({ b3 })).toBeUndefined()
  }
})

test('what is written is read back, in every way, and nothing that is read breaks a header', () => {
  const hex = (length: number) =>
    fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter((text) => !/^0+$/.test(text))
  fc.assert(
    fc.property(
      hex(32),
      hex(16),
      fc.boolean(),
      fc.constantFrom('w3c', 'b3', 'b3multi'),
      (trace, span, sampled, way) => {
        const headers = spanHeaders({ traceId: trace, spanId: span, sampled }, [way as 'w3c'])
        expect(parentOf(headers)).toMatchObject({ traceId: trace, spanId: span, sampled, said: way })
      },
    ),
  )
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (traceparent, b3, id) => {
      const parent = parentOf({ traceparent, b3, 'x-b3-traceid': id, 'x-b3-spanid': id })
      if (parent) expect(`${parent.traceId}${parent.spanId}`).toMatch(/^[0-9a-f]{48}$/)
    }),
  )
})
