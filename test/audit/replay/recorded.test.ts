import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Recalled, recall } from '../../../audit/replay/recorded.ts'
import { readExact } from '../../../core/exact.ts'
import type { RequestBody, RequestFacts } from '../../../core/facts.ts'
import { policyInput, recordedInput } from '../../../core/input.ts'
import { policyInputText } from '../../../core/input-text.ts'
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

test('connections that differ in one fact alone are told apart, whichever came before', () => {
  const of = fc.sample(
    facts.filter(({ source, destination }) => source.identified.ok && destination.service !== undefined),
    { seed: 1, numRuns: 1 },
  )[0]!
  const another = { address: '192.0.2.99', port: 4711 }
  const principal = 'spiffe://bank.example/another'
  const variants: RequestFacts[] = [
    of,
    { ...of, workload: parseSpiffeId(principal)! },
    { ...of, source: { ...of.source, address: another.address } },
    { ...of, source: { ...of.source, port: another.port } },
    { ...of, source: { ...of.source, identified: { ok: false, code: 'identity_missing', detail: '' } } },
    { ...of, destination: { ...of.destination, address: another.address } },
    { ...of, destination: { ...of.destination, port: another.port } },
    { ...of, destination: { ...of.destination, service: 'another' } },
    { ...of, destination: { ...of.destination, service: undefined } },
  ]
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...variants), { maxLength: 20 }), (all) => {
      for (const one of all) {
        const back = recalled(one, use(Object.keys(one.head?.headers ?? {}), true))
        if (back.kind !== 'facts') throw new Error(back.kind)
        expect(canonicalJson(policyInput(back.facts))).toBe(canonicalJson(policyInput(one)))
      }
    }),
  )
})

test('and so are certificates of one caller', () => {
  const of = fc.sample(
    facts.filter(({ source }) => source.identified.ok),
    { seed: 1, numRuns: 1 },
  )[0]!
  const input = parseJson(canonicalJson(recordedInput(of, undefined)))
  const identityOf = (peer: object): unknown => {
    const event = { kind: 'decision', timestamp: '2026-11-23T12:00:00.000000000Z', input, peer }
    const back = recall(event as unknown as AuditEvent<DecisionBody>)
    return back.kind === 'facts' && back.facts.source.identified.ok ? back.facts.source.identified.identity : back.kind
  }
  const [before, after] = ['2026-11-23T11:00:00.000000000Z', '2026-11-23T13:00:00.000000000Z']
  const peer = { proof: 'x509', serial: '01', not_before: before, not_after: after }
  const first = identityOf(peer)
  expect(first).toMatchObject({ proof: 'x509', serial: '01', notAfterMs: Date.parse('2026-11-23T13:00:00Z') })
  expect(identityOf({ ...peer })).toEqual(first)
  expect(identityOf({ ...peer, serial: '02' })).toMatchObject({ serial: '02' })
  expect(identityOf({ ...peer, proof: 'jwt' })).toMatchObject({ proof: 'jwt', serial: '01' })
  expect(identityOf({ ...peer, not_after: before })).toMatchObject({ notAfterMs: Date.parse('2026-11-23T11:00:00Z') })
  expect(identityOf({ ...peer, not_before: after })).toMatchObject({ notBeforeMs: Date.parse('2026-11-23T13:00:00Z') })
})

test('a digest in place of an input is not taken for one', () => {
  const event = { input: { sha256: 'ab', oversize: 50_000 } } as unknown as AuditEvent<DecisionBody>
  expect(recall(event)).toEqual({ kind: 'oversize', bytes: 50_000 })
})

test('of what a mask has hidden nobody says that it was never sent', () => {
  const input = recordedInput({ ...fc.sample(facts, 1)[0]!, requestId: 'r' }, undefined)
  const event = (more: object) =>
    recall({ input, timestamp: '2026-01-01T00:00:00.000000000Z', ...more } as unknown as AuditEvent<DecisionBody>)
  expect(event({}).kind).toBe('facts')
  expect(event({ erased: ['/input/writ/token'] })).toMatchObject({ kind: 'unreadable' })
  expect(event({ masked: ['/input/writ/token'] })).toMatchObject({ kind: 'unreadable' })
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

const bodyOf = (json: string): RequestBody => {
  const read = readExact(json)
  if (!read.ok) throw new Error(read.wrong)
  return { parsed: read.value, text: json, truncated: false, size: json.length }
}
const withBody = (json: string): RequestFacts => ({
  ...fc.sample(
    facts.filter(({ head }) => head !== undefined),
    1,
  )[0]!,
  body: bodyOf(json),
})
const keeping = (...recordBody: readonly (readonly string[])[]): PolicyUse => ({
  ...use([], false),
  bodyBytes: 1,
  recordBody,
})

test('members of a body that were kept come back as they were judged, numbers to their last digit', () => {
  const of = withBody('{"amount":9007199254740993,"to":{"iban":"x"},"pin":"1234"}')
  const back = recalled(of, keeping(['amount'], ['to', 'iban']))
  if (back.kind !== 'facts') throw new Error(back.kind)
  expect(policyInputText(back.facts)).toContain('"parsed_body":{"amount":9007199254740993,"to":{"iban":"x"}}')
  expect(policyInputText(back.facts)).not.toContain('1234')
  expect(back.body).toMatchObject({ leftOut: [], empty: false })
})

test('a body of which nothing was kept has no members, and a listener that reads none has no body', () => {
  const back = recalled(withBody('{"amount":1}'), keeping())
  expect(back).toMatchObject({
    facts: { body: { parsed: {}, truncated: false, size: 12 } },
    body: { parsed: undefined },
  })
  const bare = recalled(fc.sample(facts, 1)[0]!, keeping(['amount']))
  expect(bare).toMatchObject({ kind: 'facts', body: undefined })
})

test('the whole of any body comes back where all of it was kept', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
      fc.pre(JSON.stringify(value).isWellFormed() && JSON.stringify(value).length < 2000)
      const of = withBody(JSON.stringify(value))
      const back = recalled(of, keeping([]))
      if (back.kind !== 'facts') throw new Error(back.kind)
      const { text: _, ...body } = of.body!
      const judged = policyInput({ ...back.facts, body: { ...body, text: undefined } })
      expect(canonicalJson(policyInput(back.facts))).toBe(canonicalJson(judged))
    }),
  )
})

test('a body that no proxy wrote so is named by its member', () => {
  const good = parseJson(canonicalJson(recordedInput(withBody('{}'), keeping()))) as { [key: string]: Json }
  const event = (more: object) =>
    recall({ input: { ...good, ...more }, timestamp: '' } as unknown as AuditEvent<DecisionBody>)
  expect(event({ parsed_body_text: '{"a":1,"a":2}' })).toMatchObject({ member: 'parsed_body_text' })
  expect(event({ parsed_body_left_out: [['a', 1]] })).toMatchObject({ member: 'parsed_body_left_out' })
})
