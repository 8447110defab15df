import { createHash } from 'node:crypto'
import { exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { makeAuthenticate } from '../../../ca/token/authenticate.ts'
import { fromBase64Url, toBase64Url, utf8 } from '../../../core/bytes.ts'
import type { RequestHead } from '../../../core/facts.ts'
import type { Evidence } from '../../../core/identity.ts'
import type { TokenKey, TokenProvider } from '../../../core/token.ts'
import {
  bearing,
  headOf,
  keysOf,
  knownOnly,
  nowMs,
  nowS,
  part,
  providerOf,
  type Signing,
  signing,
  standing,
} from './issuer.ts'

const issuer = await signing()
const none: Evidence = { kind: 'none' }

interface Asking {
  readonly providers?: readonly TokenProvider[]
  readonly evidence?: Evidence
  readonly forward?: boolean
  readonly atMs?: number
}

const mine = providerOf(keysOf(issuer.jwk))

async function asked(
  head: RequestHead,
  { providers = [mine], evidence = none, forward = true, atMs = nowMs }: Asking = {},
) {
  const authenticate = makeAuthenticate({ keys: knownOnly })
  return authenticate(head, { evidence }, { providers, forward }, atMs)
}

/** The code of a refusal, `ok`, or `none`. */
async function codeOf(token: string, asking?: Asking): Promise<string> {
  const answer = await asked(bearing(token), asking)
  return answer === undefined ? 'none' : answer.ok ? 'ok' : answer.code
}

test('what a good token says is told, with its provider and digest; a request without one has none', async () => {
  const token = await issuer.sign({ ...standing, scope: 'read' })
  expect(await asked(bearing(token))).toEqual({
    ok: true,
    token: {
      ...{ provider: 'staff', issuer: standing.iss, subject: 'ada', audiences: ['shop'] },
      claims: { ...standing, scope: 'read' },
      sha256: createHash('sha256').update(token).digest('hex'),
    },
  })
  expect(await asked(headOf({}))).toBeUndefined()
  expect(await asked(headOf({ authorization: 'Basic YTpi' }))).toBeUndefined()
})

test.each(['RS256', 'PS384', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'])('%s signs a token', async (alg) => {
  const other = await signing(alg)
  const providers = [providerOf(keysOf(other.jwk))]
  expect(await codeOf(await other.sign(standing), { providers })).toBe('ok')
  expect(await codeOf(await other.sign(standing), { providers: [{ ...providers[0]!, algorithms: ['RS512'] }] })).toBe(
    'token_invalid',
  )
})

test.each<[string, object]>([
  ['another issuer', { iss: 'https://id.example/' }],
  ['no issuer', { iss: undefined }],
  ['another audience', { aud: 'shop2' }],
  ['no audience', { aud: undefined }],
  ['an audience that is no text', { aud: ['shop', 1] }],
  ['a subject that is no text', { sub: 7 }],
  ['no end', { exp: undefined }],
  ['an end that is a text', { exp: `${nowS + 300}` }],
  ['an end that is negative', { exp: -1 }],
  ['a start that is a text', { nbf: '0' }],
  ['a start that is null', { nbf: null }],
  ['a time of issue that is null', { iat: null }],
])('a token with %s is invalid', async (_, change) => {
  expect(await codeOf(await issuer.sign(JSON.stringify({ ...standing, ...change })))).toBe('token_invalid')
  expect(await codeOf(await issuer.sign(JSON.stringify(standing)))).toBe('ok')
})

test('one audience of several is enough', async () => {
  expect(await codeOf(await issuer.sign({ ...standing, aud: ['a', 'shop'] }))).toBe('ok')
})

test('clocks may be apart by the skew, and by no millisecond more', async () => {
  const token = await issuer.sign({ ...standing, nbf: nowS + 10, exp: nowS + 20 })
  const [from, to] = [nowMs + 10_000 - 60_000, nowMs + 20_000 + 60_000 - 1]
  for (const atMs of [from, to]) expect(await codeOf(token, { atMs })).toBe('ok')
  for (const atMs of [from - 1, to + 1]) expect(await codeOf(token, { atMs })).toBe('token_expired')
  const early = await issuer.sign({ ...standing, iat: nowS + 61 })
  expect(await codeOf(early)).toBe('token_expired')
  expect(await codeOf(early, { atMs: nowMs + 1000 })).toBe('ok')
})

test('text that is no token is invalid, whatever it is', async () => {
  const good = await issuer.sign(standing)
  const [header, payload, signature] = good.split('.') as [string, string, string]
  const wrong = [
    ...['', 'x', 'a.b', 'a.b.c', `${good}.`, `.${good}`, `${header}..${signature}`, `${header}.${payload}.`],
    ...[`${header}.${payload}.${signature}=`, `${header}.${payload}.${signature.slice(0, -2)}`, `${good}\u0000`],
    ...[`${header}.${payload}`, `${header}.${part({ ...standing, sub: 'root' })}.${signature}`, 'x'.repeat(16_385)],
  ]
  for (const token of wrong) expect(await codeOf(token), token.slice(0, 40)).toBe('token_invalid')
})

test('no token is signed by nothing, or by a public key as if it were a secret', async () => {
  const payload = part(standing)
  for (const alg of ['none', 'None', 'NONE', '']) {
    for (const signature of ['', 'AA']) {
      expect(await codeOf(`${part({ alg, kid: 'k1' })}.${payload}.${signature}`)).toBe('token_invalid')
    }
  }
  const { publicKey } = await generateKeyPair('RS256', { extractable: true })
  for (const secret of [await exportSPKI(publicKey), JSON.stringify(issuer.jwk), String(issuer.jwk['x'])]) {
    const token = await new SignJWT({ ...standing })
      .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
      .sign(utf8(secret.padEnd(32, ' ')))
    expect(await codeOf(token)).toBe('token_invalid')
  }
})

test('a header cannot take a key for another algorithm than its own', async () => {
  const rsa = await signing('RS256', 'k1')
  const providers = [providerOf(keysOf(rsa.jwk))]
  const { alg: _, ...anyAlg } = rsa.jwk
  const other = await new SignJWT({ ...standing })
    .setProtectedHeader({ alg: 'RS512', kid: 'k1' })
    .sign(
      await crypto.subtle.importKey(
        'pkcs8',
        await crypto.subtle.exportKey('pkcs8', rsa.key),
        { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-512' },
        false,
        ['sign'],
      ),
    )
  expect(await codeOf(other, { providers })).toBe('token_invalid')
  expect(await codeOf(other, { providers: [providerOf(keysOf(anyAlg))] })).toBe('ok') // It says none of its own.
})

test('a key that a token brings, or points to, is nobody’s', async () => {
  const stranger = await signing('ES256', 'k1')
  const headers = [
    { jwk: stranger.jwk },
    { jku: 'https://evil.example/jwks' },
    { x5u: 'https://evil.example/chain.pem' },
    { x5c: ['MIIB'] },
  ]
  for (const header of headers) {
    expect(await codeOf(await stranger.sign(standing, header))).toBe('token_invalid')
    expect(await codeOf(await issuer.sign(standing, header))).toBe('ok') // Passed over.
  }
})

test('a key id leads to keys of the token’s own issuer alone', async () => {
  const other = await signing('ES256', 'k2')
  const providers = [mine, providerOf(keysOf(other.jwk), { name: 'shop', issuer: 'https://other.example' })]
  expect(await codeOf(await other.sign({ ...standing, iss: 'https://other.example' }), { providers })).toBe('ok')
  expect(await codeOf(await other.sign(standing), { providers })).toBe('token_invalid')
  for (const kid of ['', '../k1', '__proto__', 'k1\u0000', 'x'.repeat(257), 7]) {
    expect(await codeOf(await issuer.sign(JSON.stringify(standing), { kid }))).toBe('token_invalid')
  }
})

test('a token without a key id is taken where one key can have signed it, and two that are named alike are none', async () => {
  const [second, rsa] = [await signing('ES256', 'k2'), await signing('RS256', 'k3')]
  const token = await issuer.sign(JSON.stringify(standing), { kid: undefined })
  const by = (...jwks: readonly Signing['jwk'][]) => codeOf(token, { providers: [providerOf(keysOf(...jwks))] })
  expect(await by(issuer.jwk, rsa.jwk)).toBe('ok')
  expect(await by(issuer.jwk, second.jwk)).toBe('token_invalid')
  const alike = [providerOf(keysOf(issuer.jwk, { ...second.jwk, kid: 'k1' }))]
  expect(await codeOf(await issuer.sign(standing), { providers: alike })).toBe('token_invalid')
})

test('extensions that must be understood, other types, and names given twice are refused', async () => {
  const text = JSON.stringify(standing)
  for (const header of [{ crit: ['exp'], exp: 1 }, { crit: [] }, { b64: true }, { typ: 'dpop+jwt' }, { typ: 1 }]) {
    expect(await codeOf(await issuer.sign(text, header)), JSON.stringify(header)).toBe('token_invalid')
  }
  for (const typ of ['JWT', 'jwt', 'at+jwt']) expect(await codeOf(await issuer.sign(text, { typ }))).toBe('ok')
  for (const twice of [
    `{"sub":"root",${text.slice(1)}`,
    `${text.slice(0, -1)},"x":{"a":1,"a":2}}`,
    `${text} 1`,
    '[]',
  ]) {
    expect(await codeOf(await issuer.sign(twice)), twice).toBe('token_invalid')
  }
  const [, payload, signature] = (await issuer.sign(text)).split('.')
  const header = toBase64Url(utf8('{"alg":"ES256","alg":"ES256","kid":"k1"}'))
  expect(await codeOf(`${header}.${payload}.${signature}`)).toBe('token_invalid')
})

test('two tokens are an error, in two places, in one, and also where they are the same', async () => {
  const token = await issuer.sign(standing)
  const from = [
    ...mine.from,
    { kind: 'query', name: 'access_token' },
    { kind: 'cookie', name: 'token' },
    { kind: 'header', name: 'x-token', prefix: '' },
  ] as const
  const providers = [{ ...mine, from }]
  const codes = async (head: RequestHead) => {
    const answer = await asked(head, { providers })
    return answer?.ok === false ? answer.code : answer?.ok
  }
  const bearer = `Bearer ${token}`
  expect(await codes(headOf({}, `access_token=${token}`))).toBe(true)
  expect(await codes(headOf({ cookie: `a=b; token=${token}` }))).toBe(true)
  expect(await codes(headOf({ 'x-token': token }))).toBe(true)
  const two = [
    headOf({ authorization: bearer }, `access_token=${token}`),
    headOf({ authorization: bearer, cookie: `token=${token}` }),
    headOf({ authorization: bearer, 'x-token': 'x' }),
    headOf({ authorization: `${bearer}, ${bearer}` }),
    headOf({ authorization: `Basic YTpi, ${bearer}` }),
    headOf({ authorization: `${bearer}, Basic YTpi` }),
    headOf({}, `access_token=${token}&access_token=${token}`),
    headOf({ cookie: `token=${token}; token=x` }),
    headOf({ cookie: `token=${token}, token=x` }),
  ]
  for (const head of two) expect(await codes(head), JSON.stringify(head)).toBe('token_ambiguous')
})

test('a token that must be bound is good for the caller whose certificate it names', async () => {
  const chain = [utf8('a certificate'), utf8('its issuer')]
  const thumbprint = createHash('sha256').update(chain[0]!).digest('base64url')
  const providers = [{ ...mine, certificateBound: true }]
  const bound = await issuer.sign({ ...standing, cnf: { 'x5t#S256': thumbprint } })
  const by = (token: string, evidence: Evidence) => codeOf(token, { providers, evidence })
  expect(await by(bound, { kind: 'x509', chain })).toBe('ok')
  expect(await by(bound, { kind: 'x509', chain: [chain[1]!, chain[0]!] })).toBe('token_invalid')
  expect(await by(bound, none)).toBe('token_invalid')
  expect(await by(await issuer.sign(standing), { kind: 'x509', chain })).toBe('token_invalid')
  expect(await by(await issuer.sign({ ...standing, cnf: 'x' }), { kind: 'x509', chain })).toBe('token_invalid')
})

test('a token is verified once, until its end, while its key is published, and for each caller’s certificate anew', async () => {
  let keys: readonly TokenKey[] = keysOf(issuer.jwk)
  const held = { current: () => keys, again: () => keys }
  const authenticate = makeAuthenticate({ keys: held, maxRemembered: 2 })
  const token = await issuer.sign(standing)
  const ask = (text: string, atMs = nowMs, evidence: Evidence = none, provider = mine) =>
    authenticate(bearing(text), { evidence }, { providers: [provider], forward: true }, atMs)
  const first = await ask(token)
  expect(ask(token)).not.toBeInstanceOf(Promise)
  expect(ask(token)).toMatchObject({ ok: true, token: first?.ok ? first.token : undefined })
  expect(await ask(token, (standing.exp + 60) * 1000)).toMatchObject({ ok: false, code: 'token_expired' })

  const other = (await signing('ES256', 'k1')).jwk
  keys = keysOf(other)
  expect(await ask(token)).toMatchObject({ ok: false, code: 'token_invalid' })
  keys = keysOf(issuer.jwk)
  expect(ask(token)).toBeInstanceOf(Promise) // Another object: it is verified again.
  await ask(token)
  for (const sub of ['b', 'c']) await ask(await issuer.sign({ ...standing, sub }))
  expect(ask(token)).toBeInstanceOf(Promise)

  const bound = { ...mine, certificateBound: true }
  const chain = [utf8('a')]
  const thumbprint = createHash('sha256').update(chain[0]!).digest('base64url')
  const named = await issuer.sign({ ...standing, cnf: { 'x5t#S256': thumbprint } })
  const own: Evidence = { kind: 'x509', chain }
  expect(await ask(named, nowMs, own, bound)).toMatchObject({ ok: true, token: { bound: true } })
  // It is told where it need not be, too, and of nobody else's.
  expect(await ask(named, nowMs, own)).toMatchObject({ ok: true, token: { bound: true } })
  expect(await ask(named)).not.toHaveProperty('token.bound')
  expect(await ask(token, nowMs, own)).not.toHaveProperty('token.bound')
  expect(ask(named, nowMs, none, bound)).toMatchObject({ ok: false, code: 'token_invalid' })
})

test('without any keys of its issuer nobody can tell what a token is worth', async () => {
  const away = { current: () => undefined, again: () => undefined }
  const authenticate = makeAuthenticate({ keys: away })
  const ask = async (head: RequestHead) =>
    authenticate(head, { evidence: none }, { providers: [mine], forward: true }, nowMs)
  expect(await ask(bearing(await issuer.sign(standing)))).toMatchObject({ ok: false, code: 'token_unverifiable' })
  expect(await ask(bearing('x'))).toMatchObject({ code: 'token_invalid' })
  expect(await ask(headOf({}))).toBeUndefined()
})

test('a signature has one form alone', async () => {
  const token = await issuer.sign(standing)
  const [header, payload, signature] = token.split('.') as [string, string, string]
  const bytes = fromBase64Url(signature)!
  bytes[0]! ^= 1
  expect(await codeOf(`${header}.${payload}.${toBase64Url(bytes)}`)).toBe('token_invalid')
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const loose = [...last]
    .filter((letter) => letter !== signature.at(-1))
    .map((letter) => signature.slice(0, -1) + letter)
  for (const form of loose) expect(await codeOf(`${header}.${payload}.${form}`)).toBe('token_invalid')
})
