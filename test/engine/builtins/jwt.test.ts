import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Json } from '../../../core/json.ts'
import { BuiltinError } from '../../../engine/builtins/builtin.ts'
import { jwt } from '../../../engine/builtins/jwt.ts'
import { fromJson, RegoObject, toJson, type Value } from '../../../engine/value.ts'
import { contextAt } from './context.ts'

const context = contextAt(2000)
const call = (name: string, ...args: readonly Json[]): Json =>
  toJson(jwt[`io.jwt.${name}`]!(context, ...args.map(fromJson)) as Value)

const base64Url = (text: string): string => Buffer.from(text).toString('base64url')
const part = (json: Json): string => base64Url(JSON.stringify(json))

const secret = 'a secret of thirty-two characters'
const rsa = generateKeyPairSync('rsa', { modulusLength: 1536 })
const curves = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const
const ec = Object.fromEntries(
  Object.entries(curves).map(([alg, namedCurve]) => [alg, generateKeyPairSync('ec', { namedCurve })]),
)
const ed = generateKeyPairSync('ed25519')

const pairOf = (alg: string): { publicKey: KeyObject; privateKey: KeyObject } =>
  alg === 'EdDSA' ? ed : (ec[alg] ?? rsa)
const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }) as string
const jwk = (key: KeyObject, more: Record<string, Json> = {}) => ({ ...key.export({ format: 'jwk' }), ...more }) as Json

/** A token made without the code that is tested. */
function token(
  header: { readonly alg: string } & Record<string, Json>,
  claims: Json,
  key = pairOf(header.alg).privateKey,
) {
  const signed = `${part(header)}.${part(claims)}`
  const hash = header.alg === 'EdDSA' ? null : `sha${header.alg.slice(2)}`
  const pss = header.alg.startsWith('PS') ? { padding: 6, saltLength: -1 } : {}
  const signature = header.alg.startsWith('HS')
    ? createHmac(hash!, secret).update(signed).digest()
    : sign(hash, Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363', ...pss })
  return `${signed}.${signature.toString('base64url')}`
}

const asymmetric = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

describe('verify', () => {
  test.each(asymmetric)('%s holds for the key that signed, as PEM and as JWK', (alg) => {
    const signed = token({ alg }, { sub: 'me' })
    const { publicKey } = pairOf(alg)
    const verify = (text: string, key: string) => call(`verify_${alg.toLowerCase()}`, text, key)
    expect(verify(signed, pem(publicKey))).toBe(true)
    expect(verify(signed, JSON.stringify(jwk(publicKey)))).toBe(true)
    const [header, , signature] = signed.split('.')
    expect(verify(`${header}.${part({ sub: 'you' })}.${signature}`, pem(publicKey))).toBe(false)
    expect(verify(signed, pem(alg === 'EdDSA' ? rsa.publicKey : ed.publicKey))).toBe(false)
  })

  test.each(['HS256', 'HS384', 'HS512'])('%s holds for the secret that signed', (alg) => {
    const signed = token({ alg }, {})
    expect(call(`verify_${alg.toLowerCase()}`, signed, secret)).toBe(true)
    expect(call(`verify_${alg.toLowerCase()}`, signed, `${secret}!`)).toBe(false)
  })

  test('of a set the key counts that the header names, and no other', () => {
    const other = generateKeyPairSync('ed25519').publicKey
    const set = (...keys: Json[]) => JSON.stringify({ keys })
    const signed = token({ alg: 'EdDSA', kid: 'a' }, {})
    expect(call('verify_eddsa', signed, set(jwk(other, { kid: 'b' }), jwk(ed.publicKey, { kid: 'a' })))).toBe(true)
    expect(call('verify_eddsa', signed, set(jwk(other, { kid: 'a' }), jwk(ed.publicKey, { kid: 'b' })))).toBe(false)
    expect(call('verify_eddsa', signed, set(jwk(other), jwk(ed.publicKey)))).toBe(true)
    expect(call('verify_eddsa', signed, set(jwk(ed.publicKey, { alg: 'ES256' })))).toBe(false)
    expect(call('verify_eddsa', signed, set(jwk(ed.publicKey, { alg: 'RSA-OAEP' })))).toBe(false)
  })

  test.each([
    ['two sections', 'a.b', pem(ed.publicKey)],
    ['a header that is no JSON', `${base64Url('x')}.e30.`, pem(ed.publicKey)],
    ['a key that is none', token({ alg: 'EdDSA' }, {}), 'key'],
    ['more than one PEM block', token({ alg: 'EdDSA' }, {}), pem(ed.publicKey) + pem(ed.publicKey)],
    ['a point that is not on its curve', token({ alg: 'EdDSA' }, {}), '{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}'],
    ['an algorithm that nobody knows', token({ alg: 'EdDSA' }, {}), JSON.stringify(jwk(ed.publicKey, { alg: 'X' }))],
  ])('%s is refused', (_, text, key) => {
    expect(() => call('verify_eddsa', text, key)).toThrow(BuiltinError)
  })
})

describe('decode', () => {
  test('gives header, claims and the signature in hex', () => {
    const text = `${part({ alg: 'HS256' })}.${part({ sub: 'me' })}.${base64Url('sig')}`
    expect(call('decode', text)).toEqual([{ alg: 'HS256' }, { sub: 'me' }, Buffer.from('sig').toString('hex')])
  })

  test('goes into a token within a token, quoted or not', () => {
    const inner = `${part({ alg: 'none' })}.${part({ sub: 'me' })}.`
    const expected = [{ alg: 'none' }, { sub: 'me' }, '']
    expect(call('decode', `${part({ cty: 'JWT' })}.${base64Url(inner)}.`)).toEqual(expected)
    expect(call('decode', `${part({ cty: 'JWT' })}.${base64Url(`"${inner}"`)}.`)).toEqual(expected)
  })

  test('any text is decoded or refused', () => {
    const text = fc.array(fc.oneof(fc.string(), fc.base64String(), fc.json().map(base64Url)), { maxLength: 4 })
    fc.assert(
      fc.property(text, (sections) => {
        try {
          call('decode', sections.join('.'))
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(BuiltinError)
        }
      }),
    )
  })
})

describe('decode_verify', () => {
  const no = [false, {}, {}]
  const claims = { iss: 'me', aud: ['a', 'b'], exp: 3000, nbf: 1000 }
  const signed = token({ alg: 'RS256' }, claims)
  const decide = (text: string, constraints: Record<string, Json>) =>
    call('decode_verify', text, { cert: pem(rsa.publicKey), ...constraints })

  test.each(asymmetric)('%s is verified by the algorithm that the header names', (alg) => {
    const { publicKey, privateKey } = pairOf(alg)
    const yes = [true, { alg }, {}]
    expect(call('decode_verify', token({ alg }, {}), { cert: pem(publicKey) })).toEqual(yes)
    expect(call('decode_verify', token({ alg }, {}), { cert: JSON.stringify(jwk(privateKey)) })).toEqual(yes)
    expect(call('decode_verify', token({ alg }, {}), { secret })).toEqual(no)
  })

  test('constraints must be met', () => {
    const yes = [true, { alg: 'RS256' }, claims]
    expect(decide(signed, { aud: 'a' })).toEqual(yes)
    expect(decide(signed, { aud: 'c' })).toEqual(no)
    expect(decide(signed, {})).toEqual(no) // It is for somebody, and nobody was named.
    expect(decide(signed, { aud: 'b', iss: 'me', alg: 'RS256' })).toEqual(yes)
    expect(decide(signed, { aud: 'b', iss: 'you' })).toEqual(no)
    expect(decide(signed, { aud: 'b', alg: 'RS384' })).toEqual(no)
    expect(decide(token({ alg: 'RS256' }, {}), { aud: 'a' })).toEqual(no)
  })

  test('a token holds from nbf until just before exp, in nanoseconds', () => {
    const at = (time: number) => decide(signed, { aud: 'a', time })
    expect(at(1000e9)).not.toEqual(no)
    expect(at(1000e9 - 1)).toEqual(no)
    expect(at(3000e9)).toEqual(no)
    expect(at(3000e9 - 1)).not.toEqual(no)
  })

  test('the time is that of the evaluation where no other is given', () => {
    const verify = (seconds: number) =>
      toJson(
        jwt['io.jwt.decode_verify']!(contextAt(seconds), signed, fromJson({ cert: pem(rsa.publicKey), aud: 'a' }))!,
      )
    expect(verify(2999)).not.toEqual(no)
    expect(verify(3000)).toEqual(no)
  })

  test('an unsigned token, or one with a critical extension, is none', () => {
    expect(decide(`${part({ alg: 'none' })}.e30.`, {})).toEqual(no)
    expect(decide(token({ alg: 'RS256', crit: ['x'], x: 1 }, {}), {})).toEqual(no)
    expect(decide(token({ alg: 'RS256', crit: ['typ'], typ: 'JWT' }, {}), {})).not.toEqual(no)
  })

  test('a secret verifies nothing that the header says was signed by a key', () => {
    const forged = `${part({ alg: 'RS256' })}.e30`
    const signature = createHmac('sha256', secret).update(forged).digest('base64url')
    expect(call('decode_verify', `${forged}.${signature}`, { secret })).toEqual(no)
  })

  test('a public key is no secret', () => {
    const key = pem(rsa.publicKey)
    const forged = `${part({ alg: 'HS256' })}.e30`
    const signature = createHmac('sha256', key).update(forged).digest('base64url')
    expect(decide(`${forged}.${signature}`, {})).toEqual(no)
  })

  test.each([
    ['no key', {}],
    ['a key and a secret', { cert: pem(rsa.publicKey), secret }],
    ['a constraint that nobody knows', { secret, other: 1 }],
    ['a time before 1970', { secret, time: -1 }],
    ['an issuer that is no text', { secret, iss: 1 }],
  ] as [string, Record<string, Json>][])('%s is refused', (_, constraints) => {
    expect(() => call('decode_verify', signed, constraints)).toThrow(BuiltinError)
  })

  test('an expiry that is no number is refused', () => {
    expect(() => decide(token({ alg: 'RS256' }, { exp: '3000' }), {})).toThrow('exp value must be a number')
  })
})

describe('encode_sign', () => {
  test.each([...asymmetric, 'HS256', 'HS384', 'HS512'])('%s signs what decode_verify takes', (alg) => {
    const isSecret = alg.startsWith('HS')
    const key = isSecret ? { kty: 'oct', k: base64Url(secret) } : jwk(pairOf(alg).privateKey)
    const by = isSecret ? { secret } : { cert: pem(pairOf(alg).publicKey) }
    const signed = call('encode_sign', { alg, typ: 'JWT' }, { sub: 'me' }, key) as string
    expect(call('decode_verify', signed, by)).toEqual([true, { alg, typ: 'JWT' }, { sub: 'me' }])
    expect(call('encode_sign', { alg, typ: 'JWT' }, { sub: 'me' }, key)).toHaveLength(signed.length)
  })

  test('the example of RFC 7515 appendix A.1 gives its token', () => {
    const key =
      '{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}'
    const header = '{"typ":"JWT",\r\n "alg":"HS256"}'
    const payload = '{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
    expect(call('encode_sign_raw', header, payload, key)).toMatch(/\.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk$/)
  })

  test('PSS is salted by the evaluation, so that a replay signs the same', () => {
    const signAnew = () => {
      const key = fromJson(jwk(rsa.privateKey))
      return jwt['io.jwt.encode_sign']!(contextAt(), fromJson({ alg: 'PS256' }), new RegoObject([]), key)
    }
    expect(signAnew()).toBe(signAnew())
  })

  test.each([
    ['no algorithm', {}, {}],
    ['an unknown algorithm', { alg: 'dummy' }, {}],
    ['a key of another kind', { alg: 'RS256' }, {}],
  ])('%s is refused', (_, header, payload) => {
    expect(() => call('encode_sign', header, payload, { kty: 'oct', k: 'AAAA' })).toThrow(BuiltinError)
  })

  test('what is no JSON is signed only where the type says so', () => {
    const key = '{"kty":"oct","k":"AAAA"}'
    expect(() => call('encode_sign_raw', '{"alg":"HS256"}', 'e', key)).toThrow('payload is not JSON')
    expect(call('encode_sign_raw', '{"alg":"HS256","typ":"text/plain"}', 'e', key)).toContain('.ZQ.')
  })
})
