import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RequestFacts } from '../../core/facts.ts'
import { policyInput, recordedInput } from '../../core/input.ts'
import { inputKey } from '../../core/input-key.ts'
import { begins, partsOf, projected } from '../../core/input-path.ts'
import { inputWriter, policyInputText } from '../../core/input-text.ts'
import { canonicalJson, type Json } from '../../core/json.ts'
import type { InputPath, PolicyUse } from '../../core/policy.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { facts, identity, name, workload } from './facts.ts'

type Members = { readonly [name: string]: Json | undefined }

const use: fc.Arbitrary<PolicyUse | undefined> = fc.option(
  fc.record({
    bundle: fc.constant('b'),
    entrypoint: fc.constant('e'),
    recordHeaders: fc.uniqueArray(name),
    recordQuery: fc.boolean(),
  }),
  { nil: undefined },
)

test('what a policy reads is its input, whole, with no member twice', () => {
  fc.assert(
    fc.property(facts, (of) => {
      const text = policyInputText(of)
      expect(canonicalJson(JSON.parse(text) as Json)).toBe(canonicalJson(policyInput(of)))
      expect(canonicalJson(JSON.parse(text) as Json)).toHaveLength(text.length)
    }),
  )
})

test('what a record keeps is part of what was judged, and the query and named headers only where the policy says so', () => {
  fc.assert(
    fc.property(facts, use, (of, by) => {
      const judged = policyInput(of) as { attributes: { request?: { http: Record<string, Json> } } }
      const kept = recordedInput(of, by) as typeof judged
      const { headers: given = {}, query: _, body: __, rawBody: ___, ...http } = judged.attributes.request?.http ?? {}
      const named = Object.entries(given as Record<string, Json>).filter(([name]) => by?.recordHeaders.includes(name))
      const headers = named.length > 0 ? { headers: Object.fromEntries(named) } : {}
      const path = of.head && !by?.recordQuery ? { path: of.head.path } : {}
      const request = judged.attributes.request && {
        ...judged.attributes.request,
        http: { ...http, ...headers, ...path },
      }
      const attributes = { ...judged.attributes, ...(request && { request }) }
      // What is kept of bodies: input-body.test.ts.
      const { parsed_body: ____, parsed_body_left_out: _____, truncated_body: ______, ...rest } = kept as Members
      const { token: _______, ...writ } = (judged as Members)['writ'] as Members // What is kept of tokens: token.test.ts.
      const { token: ________, ...keptOfWrit } = rest['writ'] as Members
      expect(canonicalJson({ ...rest, writ: keptOfWrit })).toBe(canonicalJson({ attributes, writ }))
    }),
  )
})

test('a connection that is identified anew, or a listener that shares an address, gets facts of its own', () => {
  const base = {
    ...{ direction: 'inbound', workload, listener: 'a', head: undefined, requestId: 'r', traceId: '', atNs: 1n },
    source: { identified: { ok: true, identity: { ...identity, proof: 'x509' } }, address: '::1', port: 1 },
    destination: { service: undefined, address: '::1', port: 2 },
  } as const satisfies RequestFacts
  const identified = { ok: false, code: 'identity_expired', detail: '' } as const
  for (const next of [base, { ...base, listener: 'b' }, { ...base, source: { ...base.source, identified } }]) {
    expect(policyInputText(next)).toContain(`"listener":"${next.listener}"`)
    expect(policyInputText(next).includes('"principal"')).toBe(next.source.identified.ok)
  }
})

test('a field that claims to be the path changes nothing', () => {
  const [one] = fc.sample(
    facts.filter(({ head }) => head !== undefined),
    1,
  )
  const head = { ...one!.head!, path: '/safe', query: undefined, headers: { ':path': '/other' } }
  expect(policyInputText({ ...one!, head })).not.toContain('/other')
})

test('half a character is refused, and not mended', () => {
  const [one] = fc.sample(facts, 1)
  expect(() => policyInputText({ ...one!, listener: '\ud800' })).toThrow(TypeError)
})

const http = ['attributes', 'request', 'http']
/** Paths that an input may have members at, and below those. */
const written: fc.Arbitrary<InputPath> = fc.oneof(
  fc.constantFrom<InputPath>(
    ...[
      ['attributes'],
      ['parsed_body'],
      ['parsed_path'],
      ['parsed_query'],
      ['truncated_body'],
      ['source_principal'],
      ['version'],
      ['writ'],
    ],
    ...[
      ['attributes', 'request'],
      ['attributes', 'source'],
      ['attributes', 'destination'],
      ['parsed_query', 'a'],
      ['parsed_body', 'a', 'b'],
    ],
    ...[
      ['attributes', 'source', 'principal'],
      ['attributes', 'source', 'address', 'socketAddress', 'portValue'],
    ],
    ...[http, ['attributes', 'request', 'time'], ['parsed_path', 'x'], ['version', 'encoding'], ['version', 'x']],
    ...['direction', 'listener', 'service', 'workload', 'token', 'x'].map((member) => ['writ', member]),
    ...['subject', 'audiences', 'issuer', 'provider', 'claims', 'x'].map((member) => ['writ', 'token', member]),
    ...['sub', 'scope', 'x'].map((claim) => ['writ', 'token', 'claims', claim]),
    ...['body', 'host', 'id', 'method', 'path', 'protocol', 'query', 'rawBody', 'scheme', 'size'].map((member) => [
      ...http,
      member,
    ]),
    ...[':authority', ':method', ':path', ':scheme', ':other'].map((member) => [...http, 'headers', member]),
  ),
  name.map((field) => [...http, 'headers', field]),
)
const unwritten = fc.constantFrom<InputPath>(
  ...[[], ['x'], ['attributes', 'x'], ['attributes', 'request', 'x'], [...http, 'fragment']],
  [...http, 'headers'],
)

test('for any facts and any reads, what is written is what is read of the input, and nothing else', () => {
  fc.assert(
    fc.property(facts, fc.array(written, { maxLength: 6 }), (of, reads) => {
      const text = inputWriter(reads)(of)
      const kept = canonicalJson(projected(policyInput(of), partsOf(reads)))
      expect(canonicalJson(JSON.parse(text) as Json)).toBe(kept)
      expect(kept).toHaveLength(text.length)
    }),
    { numRuns: 1000 },
  )
})

test('a read of something that the writer does not know is a read of everything', () => {
  fc.assert(
    fc.property(facts, fc.array(written, { maxLength: 2 }), unwritten, (of, reads, odd) => {
      const paths = [...reads.filter((path) => !begins(path, odd)), odd]
      expect(inputWriter(paths)(of)).toBe(policyInputText(of))
      expect(inputKey(paths)).toBeUndefined()
    }),
  )
})

const few = fc.constantFrom('', 'a', '1:a', '-', 'b?c')
const alike = fc.record({
  ...{ direction: fc.constantFrom('inbound' as const, 'outbound' as const), workload: fc.constant(workload) },
  ...{ listener: few, requestId: few, traceId: few, atNs: fc.constantFrom(0n, 1n) },
  source: fc.record({
    identified: fc.constantFrom<RequestFacts['source']['identified'][]>(
      { ok: true, identity: { ...identity, proof: 'x509' } },
      { ok: false, code: 'identity_missing', detail: 'none' },
    ),
    ...{ address: few, port: fc.nat(1) },
  }),
  destination: fc.record({ service: fc.option(few, { nil: undefined }), address: few, port: fc.nat(1) }),
  head: fc.option(
    fc.record({
      ...{ method: few, authority: few, path: few, query: fc.option(few, { nil: undefined }) },
      headers: fc.dictionary(fc.constantFrom('a', 'b'), few),
      ...{ protocol: fc.constantFrom('HTTP/1.1' as const, 'HTTP/2' as const), scheme: fc.constant('http' as const) },
    }),
    { nil: undefined },
  ),
  token: fc.option(
    fc.record({
      ...{ provider: few, issuer: few, subject: fc.option(few, { nil: undefined }), audiences: fc.array(few) },
      ...{ claims: fc.dictionary(fc.constantFrom('sub', 'scope'), few), sha256: fc.constant('ab') },
    }),
    { nil: undefined },
  ),
}) as fc.Arbitrary<RequestFacts>

test('two requests have one key only where all that is read of them is the same', () => {
  let same = 0
  const fewer = written.filter((path) => path.length !== 4 || path[3] !== 'headers')
  fc.assert(
    fc.property(alike, alike, fc.array(fewer, { maxLength: 4 }), (one, two, reads) => {
      const key = inputKey([...reads, [...http, 'headers', 'a']])
      if (!key) return
      const kept = (of: RequestFacts) =>
        canonicalJson(projected(policyInput(of), partsOf([...reads, [...http, 'headers', 'a']])))
      expect(key({ ...one, source: { ...one.source } })).toBe(key(one))
      if (key(one) === key(two)) {
        same++
        expect(kept(one)).toBe(kept(two))
      }
    }),
    { numRuns: 5000 },
  )
  expect(same).toBeGreaterThan(50)
})

test('one key stands for one connection, whatever objects say so and however many there were', () => {
  const key = inputKey([['writ'], ['source_principal'], [...http, 'path']])!
  const [one] = fc.sample(
    alike.filter(({ head }) => head !== undefined),
    { seed: 1, numRuns: 1 },
  ) as [RequestFacts]
  const { source, destination } = one
  const first = key(one)
  expect(key({ ...one, source: { ...source }, destination: { ...destination } })).toBe(first)
  const others: RequestFacts[] = [
    { ...one, listener: 'another' },
    { ...one, direction: one.direction === 'inbound' ? 'outbound' : 'inbound' },
    { ...one, workload: 'spiffe://bank.example/another' as SpiffeId },
    { ...one, destination: { ...destination, service: 'another' } },
  ]
  for (const other of others) {
    expect(key(other)).not.toBe(first)
    expect(key(one)).toBe(first)
  }
  const keys = new Set([first])
  for (let i = 0; i < 10_000; i++) keys.add(key({ ...one, listener: `l${i}`, source: { ...source } }))
  expect(keys.size).toBe(10_001)
  for (const length of [200, 300, 400]) keys.add(key({ ...one, listener: 'l'.repeat(length), source: { ...source } }))
  for (const path of ['', '/', ';', '1;']) keys.add(key({ ...one, head: { ...one.head!, path: `/${path}` } }))
  keys.add(key({ ...one, head: undefined }))
  expect(keys.size).toBe(10_009)
})

test('what differs from request to request by itself has no key, its neighbours have', () => {
  expect(inputKey([['attributes', 'request', 'time']])).toBeUndefined()
  expect(inputKey([[...http, 'id']])).toBeUndefined()
  expect(inputKey([http])).toBeUndefined()
  expect(inputKey([[...http, 'headers']])).toBeUndefined()
  expect(inputKey([[...http, 'headers', 'x-request-id']])).toBeDefined()
  expect(inputKey([[...http, 'host']])).toBeDefined()
  expect(inputKey([])).toBeDefined()
})
