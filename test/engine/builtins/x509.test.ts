import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BuiltinError } from '../../../engine/builtins/builtin.ts'
import { x509 } from '../../../engine/builtins/x509.ts'
import { fromJson, parseJsonValue, RegoObject, toJson, type Value } from '../../../engine/value.ts'
import { contextAt } from './context.ts'

/** Certificates of OpenSSL, and what OPA 1.22.2 answered for them. */
const fixture = (name: string): Value => parseJsonValue(readFileSync(`test/fixtures/x509/${name}.json`, 'utf8'))
const member = (value: Value | undefined, ...names: readonly string[]): Value =>
  names.reduce<Value>((at, name) => (at as RegoObject).get(name)!, value!)

const call = (name: string, ...args: readonly Value[]): Value =>
  x509[`crypto.${name}`]!(contextAt(1_800_000_000), ...args)!

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const derOf = (pem: string): string => pem.replace(/-----[^-]+-----|\s/g, '')

describe('parse_certificates', () => {
  const parsed = member(fixture('parsed'), 'certificates') as RegoObject

  test.each(parsed.keys().map(String))('shows the certificate %s as OPA does', (name) => {
    const pem = member(parsed, name, 'pem') as string
    const [shown] = call('x509.parse_certificates', pem) as readonly Value[]
    const expected = member(parsed, name, 'parsed') as RegoObject
    // Member by member, so that a difference is told by its name.
    for (const [key, value] of expected.entries) expect([key, (shown as RegoObject).get(key)]).toEqual([key, value])
    expect((shown as RegoObject).keys()).toEqual(expected.keys())
  })

  test('takes PEM, base64 of PEM and base64 of DER, and several at once', () => {
    const [root, rsa] = ['root', 'rsa'].map((name) => member(parsed, name, 'pem') as string)
    const both = call('x509.parse_certificates', `${root}${rsa}`) as readonly Value[]
    expect(both.map((one) => member(one, 'Subject', 'CommonName'))).toEqual(['Root', 'leaf rsa'])
    expect(call('x509.parse_certificates', base64(`${root}${rsa}`))).toEqual(both)
    expect(call('x509.parse_certificates', derOf(root!))).toEqual([both[0]])
  })

  test.each([
    ['no base64', 'foobar!'],
    ['no certificate', base64('badstring')],
    ['another kind of PEM', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'],
  ])('refuses %s', (_, text) => {
    expect(() => call('x509.parse_certificates', text)).toThrow(BuiltinError)
  })

  test('of bytes that were changed it shows others, or refuses them', () => {
    const der = Buffer.from(derOf(member(parsed, 'rsa', 'pem') as string), 'base64')
    const changed = fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(changed, (changes) => {
        const bytes = Buffer.from(der)
        for (const [at, to] of changes) bytes[at] = to
        expect(orRefused(() => call('x509.parse_certificates', bytes.toString('base64')))).toBe(true)
        expect(orRefused(() => call('x509.parse_certificate_request', bytes.toString('base64')))).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('any bytes are refused or shown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64')
        for (const name of ['certificates', 'certificate_request', 'rsa_private_key']) {
          expect(orRefused(() => call(`x509.parse_${name}`, text))).toBe(true)
        }
      }),
    )
  })
})

function orRefused(work: () => unknown): boolean {
  try {
    work()
    return true
  } catch (thrown) {
    return thrown instanceof BuiltinError
  }
}

describe('parse_certificate_request', () => {
  const parsed = member(fixture('parsed'), 'requests') as RegoObject

  test.each(parsed.keys().map(String))('shows the request %s as OPA does', (name) => {
    const pem = member(parsed, name, 'pem') as string
    for (const text of [pem, base64(pem), derOf(pem)]) {
      expect(call('x509.parse_certificate_request', text)).toEqual(member(parsed, name, 'parsed'))
    }
  })

  test('refuses PEM of another kind', () => {
    const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    expect(() => call('x509.parse_certificate_request', base64(pem))).toThrow('invalid PEM-encoded')
  })
})

describe('parse_and_verify_certificates', () => {
  const chains = fixture('chains')
  const cases = member(chains, 'chains') as readonly Value[]
  const pemOf = (names: Value): string =>
    (names as readonly string[]).map((name) => member(chains, 'certificates', name)).join('')

  test.each(
    cases.map((one) => [member(one, 'verified') ? 'verifies' : 'does not verify', member(one, 'name'), one] as const),
  )('%s %s', (_, __, one) => {
    const pem = pemOf(member(one, 'certificates'))
    const [verified, chain] = call(
      'x509.parse_and_verify_certificates_with_options',
      pem,
      member(one, 'options'),
    ) as Value[]
    expect(verified).toBe(member(one, 'verified'))
    expect((chain as readonly Value[]).length > 0).toBe(verified)
  })

  test('gives the chain from the leaf to the root, at the time of the evaluation', () => {
    const pem = pemOf(['plainroot', 'i1', 'l1'])
    const [verified, chain] = call('x509.parse_and_verify_certificates', pem) as [boolean, readonly Value[]]
    expect(verified).toBe(true)
    expect(chain.map((one) => member(one, 'Subject', 'CommonName'))).toEqual(['l1', 'i1', 'plainroot'])
    expect(x509['crypto.x509.parse_and_verify_certificates']!(contextAt(0), pem)).toEqual([false, []])
  })

  test('what is no certificate does not verify, what is no option is refused', () => {
    expect(call('x509.parse_and_verify_certificates', 'nonsense')).toEqual([false, []])
    const pem = pemOf(['plainroot', 'l0'])
    const verify = (options: Parameters<typeof fromJson>[0]) =>
      call('x509.parse_and_verify_certificates_with_options', pem, fromJson(options))
    expect(() => verify({ Other: 1 })).toThrow('invalid key option')
    expect(() => verify({ KeyUsages: ['Nope'] })).toThrow('invalid entries')
    expect(() => verify({ CurrentTime: 1.5 })).toThrow(BuiltinError)
  })
})

describe('private keys', () => {
  const pem = (key: KeyObject, type: 'pkcs1' | 'pkcs8' | 'sec1' = 'pkcs8'): string =>
    key.export({ type, format: 'pem' }) as string
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  const ec = ['P-256', 'P-384', 'P-521'].map((namedCurve) => generateKeyPairSync('ec', { namedCurve }).privateKey)
  const ed = generateKeyPairSync('ed25519').privateKey
  const x = generateKeyPairSync('x25519').privateKey

  test.each([
    ['RSA in PKCS #8', pem(rsa)],
    ['RSA in PKCS #1', pem(rsa, 'pkcs1')],
    ...ec.flatMap((key) => [
      ['EC in PKCS #8', pem(key)],
      ['EC in SEC 1', pem(key, 'sec1')],
    ]),
    ['Ed25519', pem(ed)],
    ['X25519', pem(x)],
  ] as [string, string][])('%s becomes the JWK that OpenSSL makes', (_, text) => {
    const expected = createPrivateKey(text).export({ format: 'jwk' })
    expect(toJson(call('x509.parse_rsa_private_key', text))).toEqual(expected)
    expect(toJson(call('x509.parse_rsa_private_key', base64(text)))).toEqual(expected)
  })

  test('all keys of a text are shown, and none where there is none', () => {
    const shown = call('parse_private_keys', pem(rsa) + pem(ec[0]!, 'sec1') + pem(ed)) as readonly Value[]
    expect(shown.map((key) => (key instanceof RegoObject ? key.keys() : typeof key))).toEqual([
      ['D', 'E', 'N', 'Precomputed', 'Primes'],
      ['Curve', 'D', 'X', 'Y'],
      'string',
    ])
    expect(call('parse_private_keys', 'nope')).toEqual([])
    expect(call('parse_private_keys', '')).toBeNull()
  })

  test('an RSA key whose numbers do not belong together is refused', () => {
    const der = Buffer.from(derOf(pem(rsa, 'pkcs1')), 'base64')
    der[40]! ^= 1
    const broken = `-----BEGIN RSA PRIVATE KEY-----\n${der.toString('base64')}\n-----END RSA PRIVATE KEY-----\n`
    expect(() => call('x509.parse_rsa_private_key', broken)).toThrow('do not belong together')
  })

  test('a pair is a chain with the key of its first certificate, as OPA shows it', () => {
    const pair = member(fixture('parsed'), 'pair')
    const [certificate, key] = ['certificate', 'key'].map((name) => member(pair, name) as string) as [string, string]
    const leaf = (call('x509.parse_certificates', certificate) as readonly Value[])[0] as RegoObject
    const expected = member(pair, 'parsed') as RegoObject
    for (const shown of [
      call('x509.parse_keypair', certificate, key),
      call('x509.parse_keypair', base64(certificate), derOf(key)),
    ]) {
      for (const [name, value] of expected.entries) expect([name, member(shown, String(name))]).toEqual([name, value])
      expect((member(shown, 'Leaf') as RegoObject).keys()).toEqual(leaf.keys().filter((name) => name !== 'URIStrings'))
    }
    expect(() => call('x509.parse_keypair', certificate, pem(rsa))).toThrow('does not match')
    expect(() => call('x509.parse_keypair', 'bm90aGluZw==', key)).toThrow(BuiltinError)
    expect(() => call('x509.parse_keypair', certificate, certificate)).toThrow('in key input')
  })
})
