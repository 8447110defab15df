/** Any facts that a proxy may come by, and some that it may not. */

import fc from 'fast-check'
import type { GrpcCall, RequestBody, RequestFacts, TokenFacts } from '../../core/facts.ts'
import type { Identity } from '../../core/identity.ts'
import type { Json } from '../../core/json.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'

const id = parseSpiffeId('spiffe://bank.example/storefront')!
export const workload: SpiffeId = parseSpiffeId('spiffe://bank.example/orders')!
export const identity: Omit<Identity, 'proof'> = {
  id,
  trustDomain: trustDomainOf(id),
  serial: '01',
  notBeforeMs: 0,
  notAfterMs: 1,
}

const word = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', 'a"b', 'c\\d', 'é\n', '__proto__'),
)
export const name: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('accept', '1st', '~', '__proto__', 'constructor', '9', '10'),
  word,
)
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
const token: fc.Arbitrary<TokenFacts> = fc.record({
  provider: fc.constantFrom('staff', 'shop'),
  issuer: word,
  subject: fc.option(word, { nil: undefined }),
  audiences: fc.array(word, { maxLength: 2 }),
  claims: fc.dictionary(fc.oneof(fc.constantFrom('sub', 'aud', 'scope'), word), fc.jsonValue() as fc.Arbitrary<Json>),
  sha256: fc.constant('ab'),
})
/** Parts of a path, so without slashes. */
const callWord = fc.stringMatching(/^[A-Za-z."\\]{1,8}$/)
const call: fc.Arbitrary<GrpcCall> = fc.record({ method: callWord, service: callWord })
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
export const facts: fc.Arbitrary<RequestFacts> = fc
  .tuple(
    bare,
    fc.option(body, { nil: undefined }),
    fc.option(token, { nil: undefined }),
    fc.boolean(),
    fc.option(call, { nil: undefined }),
  )
  .map(([of, body, token, opaque, grpc]) => ({
    ...of,
    ...(of.head && grpc && { grpc }),
    ...(body && { body }),
    ...(token && { token }),
    ...(opaque && !of.head && { protocol: 'tcp' }),
  }))
