import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RequestBody, RequestFacts } from '../../core/facts.ts'
import { policyInput, recordedInput } from '../../core/input.ts'
import { policyInputText } from '../../core/input-text.ts'
import { canonicalJson, type Json } from '../../core/json.ts'
import type { PolicyUse } from '../../core/policy.ts'
import { parseSpiffeId, trustDomainOf } from '../../core/spiffe.ts'

const id = parseSpiffeId('spiffe://bank.example/storefront')!
const workload = parseSpiffeId('spiffe://bank.example/orders')!
const identity = { id, trustDomain: trustDomainOf(id), serial: '01', notBeforeMs: 0, notAfterMs: 1 }

const word = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', 'a"b', 'c\\d', 'é\n', '__proto__'),
)
const name = fc.oneof(fc.constantFrom('accept', '1st', '~', '__proto__', 'constructor', '9', '10'), word)
const path = fc.oneof(
  fc.constantFrom('/', '*', '/a//b', '/a%2Fb/%E2%82%AC', '/%25'),
  fc.webPath(),
  word.map((text) => `/${text}`),
)
const body: fc.Arbitrary<RequestBody> = fc.record(
  {
    parsed: fc.oneof(
      fc.constant(null),
      fc.dictionary(word, fc.array(word)),
      fc.jsonValue({ noUnicodeString: false }) as fc.Arbitrary<Json>,
    ),
    text: fc.option(word, { nil: undefined }),
    raw: fc.base64String(),
    truncated: fc.boolean(),
    size: fc.integer({ min: -1 }),
  },
  { requiredKeys: ['parsed', 'text', 'truncated', 'size'] },
)
const bare: fc.Arbitrary<Omit<RequestFacts, 'body'>> = fc.record({
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
      query: fc.option(fc.oneof(word, fc.constantFrom('a=b&a=c&__proto__=d+e&%ff', 'x%3Dy')), { nil: undefined }),
      headers: fc.dictionary(
        name.filter((text) => !text.startsWith(':')),
        word,
      ),
      protocol: fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/2'),
      scheme: fc.constantFrom('http', 'https'),
    }),
    { nil: undefined },
  ),
  requestId: word,
  traceId: fc.constant(''),
  atNs: fc.bigInt({ min: 0n, max: 253_402_300_799_999_999_999n }),
})
const facts: fc.Arbitrary<RequestFacts> = fc
  .tuple(bare, fc.option(body, { nil: undefined }))
  .map(([of, seen]) => (seen ? { ...of, body: seen } : of))
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
      expect(canonicalJson(rest)).toBe(canonicalJson({ attributes, writ: (judged as Members)['writ'] }))
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
