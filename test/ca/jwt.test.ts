import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type JwtIdentifyOptions, makeJwtIdentify, readJws, readJwtKey } from '../../ca/jwt.ts'
import { mintJwtSvid } from '../../ca/node/jwt.ts'
import { readTrust, trustJson } from '../../ca/wire.ts'
import { toBase64Url, utf8 } from '../../core/bytes.ts'
import type { Evidence, Identified, JwtKey } from '../../core/identity.ts'
import { bank, domain, id, newAuthority, noonMs, orders, random } from './world.ts'

const edge = 'spiffe://bank.example/edge-fn'
const noonS = noonMs / 1000

/** A key under which any header and any claims can be signed. */
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const { x, y } = pair.publicKey.export({ format: 'jwk' }) as { x: string; y: string }
const ours: JwtKey = { kid: 'k1', kty: 'EC', crv: 'P-256', x, y }

const header = { alg: 'ES256', kid: 'k1', typ: 'JWT' }
const claims = { sub: orders as string, aud: edge as unknown, exp: (noonS + 300) as unknown }

const part = (value: unknown): string => toBase64Url(utf8(JSON.stringify(value)))

function forge(headers: object = header, said: object = claims): string {
  const signed = `${part(headers)}.${part(said)}`
  const signature = sign('sha256', utf8(signed), { key: pair.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

async function judge(evidence: Evidence | string, change: Partial<JwtIdentifyOptions> = {}, nowMs = noonMs) {
  const identify = makeJwtIdentify({
    keysOf: (name) => (name === bank ? [ours] : undefined),
    audience: edge,
    ...change,
  })
  const shown = typeof evidence === 'string' ? ({ kind: 'jwt', token: evidence } as const) : evidence
  return (await identify({ evidence: shown, address: '', port: 0 }, nowMs)) as Identified
}

const codeOf = async (answer: Promise<Identified>): Promise<string> => {
  const got = await answer
  return got.ok ? got.identity.id : got.code
}

test('a caller is who its token says, under the keys of its own trust domain', async () => {
  expect(await judge(forge(header, { ...claims, nbf: noonS - 60, iat: noonS, jti: 'ab12' }))).toEqual({
    ok: true,
    identity: {
      id: orders,
      trustDomain: bank,
      proof: 'jwt',
      serial: 'ab12',
      notBeforeMs: noonMs - 60_000,
      notAfterMs: noonMs + 299_999,
    },
  })
  expect(await judge(forge(header, { ...claims, jti: 'Not hex' }))).toMatchObject({ identity: { serial: '' } })
})

test('what our own issuer mints is taken, for its audience and no other', async () => {
  const authority = await newAuthority()
  const { token, serial } = await authority.mintJwt({ id: orders, audience: edge })
  const keysOf = () => readTrust(trustJson(authority.bundle()))?.jwtKeys
  expect(await judge(token, { keysOf })).toMatchObject({ ok: true, identity: { id: orders, serial } })
  expect(await codeOf(judge(token, { keysOf, audience: `${edge}2` }))).toBe('identity_invalid')
  const other = (await newAuthority()).bundle()
  expect(await codeOf(judge(token, { keysOf: () => other.jwtKeys }))).toBe('identity_untrusted')
})

test('the key must be of the subject’s trust domain: another domain’s key speaks for its own names alone', async () => {
  const other = domain('other.example')
  const only = (name: string) => ({ keysOf: (asked: string) => (asked === name ? [ours] : undefined) })
  const theirs = forge(header, { ...claims, sub: 'spiffe://other.example/billing' })
  expect(await codeOf(judge(theirs, only(other)))).toBe('spiffe://other.example/billing')
  expect(await codeOf(judge(forge(), only(other)))).toBe('identity_untrusted')
  expect(await codeOf(judge(theirs, only(bank)))).toBe('identity_untrusted')
})

test('a key that the bundle does not name is untrusted, a signature that its key did not make is invalid', async () => {
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  const same = { ...ours, x: stranger.x!, y: stranger.y! }
  expect(await codeOf(judge(forge({ ...header, kid: 'k2' })))).toBe('identity_untrusted')
  expect(await codeOf(judge(forge(), { keysOf: () => [same] }))).toBe('identity_invalid')
  expect(await codeOf(judge(forge(), { keysOf: () => [] }))).toBe('identity_untrusted')
  expect(await codeOf(judge(forge(), { keysOf: () => [{ ...ours, alg: 'ES384' }] }))).toBe('identity_invalid')
  expect(await codeOf(judge(forge(), { keysOf: () => [{ ...ours, alg: 'ES256' }] }))).toBe(orders)
})

test.each([
  ['no algorithm', { kid: 'k1' }],
  ['none', { ...header, alg: 'none' }],
  ['EdDSA', { ...header, alg: 'EdDSA' }],
  ['a name of its own', { ...header, alg: 'es256' }],
  ['another type', { ...header, typ: 'jwt' }],
  ['an access token', { ...header, typ: 'at+jwt' }],
  ['no key id', { alg: 'ES256', typ: 'JWT' }],
  ['an empty key id', { ...header, kid: '' }],
  ['a key of its own', { ...header, jwk: ours }],
  ['a critical field', { ...header, crit: ['exp'], exp: 1 }],
  ['an unencoded payload', { ...header, b64: false, crit: ['b64'] }],
])('a header with %s is refused although it is signed', async (_, headers) => {
  expect(await codeOf(judge(forge(headers)))).toBe('identity_invalid')
})

test('a header without a type, and one of type JOSE, is taken', async () => {
  expect(await codeOf(judge(forge({ alg: 'ES256', kid: 'k1' })))).toBe(orders)
  expect(await codeOf(judge(forge({ ...header, typ: 'JOSE' })))).toBe(orders)
})

test('the public key is no secret to sign with', async () => {
  const signed = `${part({ ...header, alg: 'HS256' })}.${part(claims)}`
  const secret = pair.publicKey.export({ type: 'spki', format: 'pem' })
  const token = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
  expect(await codeOf(judge(token))).toBe('identity_invalid')
})

test.each([
  ['no subject', { sub: undefined }],
  ['a subject that is no workload', { sub: 'spiffe://bank.example' }],
  ['a subject in upper case', { sub: 'SPIFFE://bank.example/orders' }],
  ['a list of subjects', { sub: [orders] }],
  ['no audience', { aud: undefined }],
  ['an empty list of audiences', { aud: [] }],
  ['an audience that is no text', { aud: [edge, 7] }],
  ['another audience', { aud: 'spiffe://bank.example/edge' }],
  ['no end', { exp: undefined }],
  ['an end in words', { exp: '2030-01-01' }],
  ['an end beyond the calendar', { exp: 1e300 }],
  ['a negative end', { exp: -1 }],
  ['a start in words', { nbf: 'now' }],
])('a token with %s is refused although it is signed', async (_, change) => {
  expect(await codeOf(judge(forge(header, { ...claims, ...change })))).toBe('identity_invalid')
})

test('one of several audiences is enough', async () => {
  expect(await codeOf(judge(forge(header, { ...claims, aud: ['spiffe://bank.example/other', edge] })))).toBe(orders)
})

test('a token is good in the last millisecond before its end and expired at it, and not before its start', async () => {
  const end = noonMs + 300_000
  expect(await codeOf(judge(forge(), {}, end - 1))).toBe(orders)
  expect(await codeOf(judge(forge(), {}, end))).toBe('identity_expired')
  const later = forge(header, { ...claims, nbf: noonS + 1 })
  expect(await codeOf(judge(later, {}, noonMs + 999))).toBe('identity_expired')
  expect(await codeOf(judge(later, {}, noonMs + 1000))).toBe(orders)
})

test('a denied id and a denied token are revoked, their neighbours are not', async () => {
  const token = forge(header, { ...claims, jti: 'ab12' })
  const denying = (...denied: string[]) => codeOf(judge(token, { denied: () => new Set(denied) }))
  expect(await denying('spiffe://bank.example/order', 'ab1')).toBe(orders)
  expect(await denying(orders)).toBe('identity_revoked')
  expect(await denying('ab12')).toBe('identity_revoked')
})

test('no token is missing, a certificate is not taken here', async () => {
  expect(await codeOf(judge({ kind: 'none' }))).toBe('identity_missing')
  expect(await codeOf(judge({ kind: 'x509', chain: [new Uint8Array(3)] }))).toBe('identity_invalid')
})

test('a token has one text: spare bits, padding, other alphabets, more or fewer parts are refused', async () => {
  const token = forge()
  const [head, body, signature] = token.split('.') as [string, string, string]
  expect(await codeOf(judge(token))).toBe(orders)
  const last = signature.at(-1)!
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  // 64 bytes are 86 characters: the last one has four spare bits, which jose does not look at.
  const spare = signature.slice(0, -1) + alphabet[alphabet.indexOf(last) ^ 1]
  for (const bad of [
    `${head}.${body}.${spare}`,
    `${token}=`,
    `${token}==`,
    ` ${token}`,
    `${token}\n`,
    `${head}.${body}`,
    `${head}.${body}.`,
    `${head}..${signature}`,
    `.${body}.${signature}`,
    `${token}.`,
    `${token}.${signature}.${signature}`,
    `${head}.${body}.${signature.slice(0, 20)} ${signature.slice(20)}`,
    `${token}, Bearer ${token}`,
    JSON.stringify({ payload: body, protected: head, signature }),
    forge(header, { ...claims, more: 'x'.repeat(8192) }),
  ]) {
    expect(await codeOf(judge(bad))).toBe('identity_invalid')
  }
})

test('whatever is sent instead of a token is refused without a throw', async () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(
        fc.base64String().map((text) => text.replaceAll('=', '')),
        { maxLength: 5 },
      )
      .map((parts) => parts.join('.')),
    fc.tuple(fc.json(), fc.json()).map(([a, b]) => `${toBase64Url(utf8(a))}.${toBase64Url(utf8(b))}.AAAA`),
  )
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      expect((await judge(text)).ok).toBe(false)
    }),
    { numRuns: 300 },
  )
})

test('one changed character anywhere in a token refuses it', async () => {
  const token = forge()
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'
  await fc.assert(
    fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom(...alphabet), async (at, other) => {
      fc.pre(token[at] !== other)
      expect((await judge(token.slice(0, at) + other + token.slice(at + 1))).ok).toBe(false)
    }),
    { numRuns: 200 },
  )
})

test('a bundle’s keys travel as JWKs; those of other uses and kinds are passed over, two of one name are refused', async () => {
  const authority = await newAuthority()
  const json = JSON.parse(JSON.stringify(trustJson(authority.bundle())))
  expect(readTrust(json)).toEqual(authority.bundle())
  const [key] = json.jwt_keys
  const { use: _, ...without } = key
  const others = [
    { ...key, kid: 'b', use: 'sig' },
    { ...without, kid: 'c' },
    { kid: 'd', use: 'jwt-svid', kty: 'OKP' },
    7,
  ]
  expect(readTrust({ ...json, jwt_keys: [...others, key] })).toEqual(authority.bundle())
  expect(readTrust({ ...json, jwt_keys: [key, { ...key }] })).toBeUndefined()
  expect(readTrust({ ...json, jwt_keys: Array(17).fill(0) })).toBeUndefined()
  expect(readTrust({ ...json, jwt_keys: 'none' })).toBeUndefined()
  const { jwt_keys: __, ...old } = json
  expect(readTrust(old)).not.toHaveProperty('jwtKeys')
})

test('whatever a bundle says is a key, reading it never throws', async () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      readJwtKey(value)
    }),
  )
  fc.assert(
    fc.property(fc.string(), (text) => {
      readJws(text)
    }),
  )
})

test('a token of our own carries the three header fields that a JWT-SVID has, and a name for its record', async () => {
  const authority = await newAuthority()
  const minted = await authority.mintJwt({ id: orders, audience: edge, ttlMs: 60_000 })
  const jsonOf = (text: string): unknown => JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  const [head, body] = minted.token.split('.').slice(0, 2).map(jsonOf)
  expect(head).toEqual({ alg: 'ES256', kid: authority.bundle().jwtKeys![0]!.kid, typ: 'JWT' })
  expect(body).toEqual({ sub: orders, aud: edge, iat: noonS, nbf: noonS - 60, exp: noonS + 60, jti: minted.serial })
  await expect(authority.mintJwt({ id: id('spiffe://other.example/a'), audience: edge })).rejects.toMatchObject({
    code: 'certificate_invalid',
  })
  const signer = { key: pair.privateKey, publicKey: ours }
  expect(await codeOf(judge((await mintJwtSvid(signer, { id: orders, audience: edge }, noonMs, random)).token))).toBe(
    orders,
  )
})
