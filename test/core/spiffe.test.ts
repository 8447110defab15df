import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseSpiffeId, parseTrustDomain, trustDomainOf } from '../../core/spiffe.ts'

/** SPIFFE-ID section 2: what is no id is refused, and nothing is mended. */

const taken = (...texts: readonly string[]): void => {
  for (const text of texts) expect(parseSpiffeId(text), text).toBe(text)
}
const refused = (...texts: readonly string[]): void => {
  for (const text of texts) expect(parseSpiffeId(text), text).toBeUndefined()
}

test('an id has the scheme spiffe, a trust domain, and neither query nor fragment', () => {
  taken('spiffe://bank.example/orders')
  refused(
    'https://bank.example/orders',
    'spiffe:///orders',
    'spiffe://',
    'spiffe:/bank.example/orders',
    'bank.example/a',
  )
  refused('spiffe://bank.example/orders?x=1', 'spiffe://bank.example/orders#x', 'spiffe://bank.example/orders?')
})

test('an id has no user and no port', () => {
  refused(
    'spiffe://user@bank.example/orders',
    'spiffe://user:word@bank.example/orders',
    'spiffe://@bank.example/orders',
  )
  refused('spiffe://bank.example:443/orders', 'spiffe://bank.example:/orders')
})

test('a trust domain is lower case, of few characters, without percent signs and brackets', () => {
  taken('spiffe://a-b_c.d1/x', 'spiffe://10.0.0.1/x', 'spiffe://1.2.3.4.5/x')
  refused('spiffe://Bank.example/x', 'SPIFFE://bank.example/x', 'spiffe://bank%2eexample/x', 'spiffe://[::1]/x')
  refused('spiffe://bänk.example/x', 'spiffe://bank example/x')
})

test('steps of a path are of few characters, never empty, "." or "..", and none ends it', () => {
  taken('spiffe://td/a', 'spiffe://td/...', 'spiffe://td/.a', 'spiffe://td/a..b/_-.', 'spiffe://td/A/b/9')
  refused('spiffe://td', 'spiffe://td/', 'spiffe://td/a/', 'spiffe://td//a', 'spiffe://td/a//b')
  refused(
    'spiffe://td/.',
    'spiffe://td/..',
    'spiffe://td/a/./b',
    'spiffe://td/a/../b',
    'spiffe://td/%41',
    'spiffe://td/a b',
  )
})

test('ids of 2048 bytes are taken, and trust domains of 255; longer ones are not', () => {
  taken(`spiffe://td/${'a'.repeat(2048 - 12)}`, `spiffe://${'t'.repeat(255)}/a`)
  refused(`spiffe://td/${'a'.repeat(2049 - 12)}`, `spiffe://${'t'.repeat(256)}/a`)
})

test('paths that differ in case are two', () => {
  taken('spiffe://td/a', 'spiffe://td/A')
  expect(parseSpiffeId('spiffe://td/a')).not.toBe(parseSpiffeId('spiffe://td/A'))
})

test('what is taken is taken letter for letter, and is of the trust domain that it says', () => {
  const text = fc.string({
    maxLength: 12,
    unit: fc.constantFrom('a', 'A', '/', '.', ':', '@', '%', '?', '#', '-', ' '),
  })
  fc.assert(
    fc.property(text, (rest) => {
      const id = parseSpiffeId(`spiffe://${rest}`)
      if (!id) return
      expect(id).toBe(`spiffe://${rest}`)
      expect(parseTrustDomain(trustDomainOf(id))).toBe(rest.slice(0, rest.indexOf('/')))
      expect(new URL(id).host).toBe(trustDomainOf(id))
    }),
    { numRuns: 2000 },
  )
})
