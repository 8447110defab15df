import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RequestFacts } from '../../core/facts.ts'
import { policyInput, recordedInput } from '../../core/input.ts'
import { policyInputText } from '../../core/input-text.ts'
import { canonicalJson, type Json } from '../../core/json.ts'
import type { PolicyUse } from '../../core/policy.ts'
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
