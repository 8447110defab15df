import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Recalled, recall } from '../../../audit/replay/recorded.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import { policyInput, recordedInput } from '../../../core/input.ts'
import { canonicalJson, type Json, parseJson } from '../../../core/json.ts'
import type { PolicyUse } from '../../../core/policy.ts'
import type { AuditEvent, DecisionBody } from '../../../core/record.ts'
import { parseSpiffeId, trustDomainOf } from '../../../core/spiffe.ts'

const id = parseSpiffeId('spiffe://bank.example/storefront')!
const workload = parseSpiffeId('spiffe://bank.example/orders')!
const identity = { id, trustDomain: trustDomainOf(id), serial: '01', notBeforeMs: 0, notAfterMs: 1 }

const word = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', 'a"b', 'c\\d', 'é\n', '__proto__'),
)
const headers = fc.dictionary(
  fc.oneof(fc.constantFrom('accept', '__proto__', 'constructor', '9'), word).filter((name) => !name.startsWith(':')),
  word,
)
/** No path in its normal form holds a question mark. */
const path = fc.oneof(
  fc.constantFrom('/', '*', '/a//b', '/a%2Fb/%E2%82%AC', '/%25'),
  word.map((text) => `/${text.replaceAll('?', '')}`),
)
const facts: fc.Arbitrary<RequestFacts> = fc.record({
  direction: fc.constantFrom('inbound', 'outbound'),
  workload: fc.constant(workload),
  listener: word,
  source: fc.record({
    identified: fc.constantFrom(
      { ok: true, identity: { ...identity, proof: 'x509' } },
      { ok: false, code: 'identity_missing', detail: 'none' },
    ),
    address: word,
    port: fc.nat(65_535),
  }),
  destination: fc.record({ service: fc.option(word, { nil: undefined }), address: word, port: fc.nat(65_535) }),
  head: fc.option(
    fc.record({
      method: word,
      authority: word,
      path,
      query: fc.option(fc.oneof(word, fc.constantFrom('', 'a=b&a=c&__proto__=d+e&%ff', 'x?y=?')), { nil: undefined }),
      headers,
      protocol: fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/2'),
      scheme: fc.constantFrom('http', 'https'),
    }),
    { nil: undefined },
  ),
  requestId: word,
  traceId: fc.constant(''),
  atNs: fc.bigInt({ min: 0n, max: 253_402_300_799_999_999_999n }),
})

/** The record's input as it is read back from a log. */
function recalled(of: RequestFacts, use: PolicyUse | undefined): Recalled {
  const input = parseJson(canonicalJson(recordedInput(of, use)))
  const event = { kind: 'decision', timestamp: '2026-11-23T12:00:00.000000000Z', input }
  return recall(event as unknown as AuditEvent<DecisionBody>)
}

const use = (recordHeaders: readonly string[], recordQuery: boolean): PolicyUse => ({
  ...{ bundle: 'b', entrypoint: 'e' },
  recordHeaders,
  recordQuery,
})

test('where everything was recorded, the rebuilt input is the one that was judged', () => {
  fc.assert(
    fc.property(facts, (of) => {
      const back = recalled(of, use(Object.keys(of.head?.headers ?? {}), true))
      expect(back.kind).toBe('facts')
      if (back.kind !== 'facts') return
      expect(canonicalJson(policyInput(back.facts))).toBe(canonicalJson(policyInput(of)))
      expect(back.showsQuery).toBe(of.head?.query !== undefined)
    }),
  )
})

test('what was not recorded is missing from the rebuilt input, and nothing else is', () => {
  fc.assert(
    fc.property(facts, fc.array(fc.constantFrom<string>('accept', '__proto__', '9')), (of, names) => {
      const back = recalled(of, use(names, false))
      if (back.kind !== 'facts') throw new Error(back.kind)
      const kept = Object.entries(of.head?.headers ?? {}).filter(([name]) => names.includes(name))
      const head = of.head && { ...of.head, query: undefined, headers: Object.fromEntries(kept) }
      expect(canonicalJson(policyInput(back.facts))).toBe(canonicalJson(policyInput({ ...of, head })))
      expect(back.showsQuery).toBe(false)
    }),
  )
})

test('a digest in place of an input is not taken for one', () => {
  const event = { input: { sha256: 'ab', oversize: 50_000 } } as unknown as AuditEvent<DecisionBody>
  expect(recall(event)).toEqual({ kind: 'oversize', bytes: 50_000 })
})

test('what no proxy wrote is named by its member, and throws nothing', () => {
  const good = parseJson(canonicalJson(recordedInput(fc.sample(facts, 1)[0]!, undefined))) as { writ: object }
  const event = (input: unknown) => recall({ input, timestamp: '' } as unknown as AuditEvent<DecisionBody>)
  expect(event({ ...good, writ: { ...good.writ, workload: 'orders' } })).toMatchObject({ member: 'writ.workload' })
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(['facts', 'oversize', 'unreadable']).toContain(event(value as Json).kind)
    }),
  )
})
