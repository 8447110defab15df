import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { CompactSign, UnsecuredJWT } from 'jose'
import { beforeEach, describe, expect, test } from 'vitest'
import { utf8 } from '../../core/bytes.ts'
import { readBundle } from '../../engine/bundle.ts'
import { audienceFor, matches, type PublicJwk, verifyKeyless } from '../../engine/keyless.ts'
import { keylessSigner } from '../../engine/node/keyless-sign.ts'
import { signBundle } from '../../engine/node/sign.ts'
import type { KeylessVerification } from '../../engine/verification.ts'
import { type Issuer, openIssuer, subject } from './issuer.ts'

const nowS = 1_790_000_000

let issuer: Issuer
let unsigned: Uint8Array
beforeEach(async () => {
  issuer = await openIssuer(nowS)
  unsigned = new Uint8Array(await readFile('policies/bank/bundle.tar.gz'))
})

const trusted = (more: Partial<KeylessVerification> = {}): KeylessVerification => ({
  ...{ issuer: issuer.url, subject, keys: issuer.jwks },
  ...more,
})

const read = (bundle: Uint8Array, keyless: KeylessVerification) =>
  readBundle(bundle, 'bank', { verification: { keys: [], keyless } })

const signed = async () => signBundle(unsigned, await keylessSigner({ env: issuer.env, nowMs: nowS * 1000 }))

describe('a bundle that was signed with a token of the CI', () => {
  test('is taken, with who signed it and when, and the token may have expired long since', async () => {
    const { ref, signedBy } = await read(await signed(), trusted())
    expect(ref.bundle).toBe('bank')
    expect(signedBy).toEqual({ issuer: issuer.url, subject, at: nowS })
  })

  test("is verified by the keys at the issuer's URL too", async () => {
    expect((await read(await signed(), trusted({ keys: `${issuer.url}/jwks` }))).signedBy?.subject).toBe(subject)
    await expect(read(await signed(), trusted({ keys: `${issuer.url}/nothing` }))).rejects.toThrow('does not hold')
  })

  test('is not taken of another subject, another issuer, or by the keys of another issuer', async () => {
    const bundle = await signed()
    await expect(read(bundle, trusted({ subject: 'repo:acme/other:ref:refs/heads/main' }))).rejects.toThrow(
      'it was signed by',
    )
    await expect(read(bundle, trusted({ issuer: 'https://elsewhere.example' }))).rejects.toThrow('"iss"')
    const other = await openIssuer(nowS)
    await expect(read(bundle, trusted({ keys: other.jwks }))).rejects.toThrow('signature verification failed')
  })

  test('is not taken once a file is another', async () => {
    const bundle = await signed()
    const at = bundle.findIndex((byte, i) => byte === 0x22 && bundle[i + 1] === 0x66 && bundle[i + 2] === 0x72) // `"fr`
    bundle[at + 1] = 0x46
    await expect(read(bundle, trusted())).rejects.toThrow()
  })

  test('is taken by no verification that knows keys alone, nor the other way round', async () => {
    await expect(readBundle(await signed(), 'bank', { verification: { keys: [] } })).rejects.toThrow('is trusted')
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const plain = await signBundle(unsigned, { algorithm: 'ES256', key: privateKey })
    await expect(read(plain, trusted())).rejects.toThrow('carries no public key')
  })
})

describe('a forged signature', () => {
  let key: KeyObject
  let jwk: PublicJwk
  let audience: string
  beforeEach(async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { x = '', y = '' } = pair.publicKey.export({ format: 'jwk' })
    key = pair.privateKey
    jwk = { kty: 'EC', crv: 'P-256', x, y }
    audience = await audienceFor(jwk)
  })

  const sign = (
    token: string,
    { by = key, iat = nowS, header = {} }: { by?: KeyObject; iat?: unknown; header?: object } = {},
  ) =>
    new CompactSign(utf8(JSON.stringify({ files: [], iat })))
      .setProtectedHeader({ alg: 'ES256', jwk: { ...jwk }, 'writ-id-token': token, ...header })
      .sign(by)

  const refused = async (made: Promise<string>, why: string) =>
    expect(verifyKeyless(await made, trusted())).rejects.toThrow(why)

  test('with the token, key, time and subject that belong together is none', async () => {
    expect((await verifyKeyless(await sign(await issuer.token({ aud: audience })), trusted())).by.subject).toBe(subject)
  })

  test('of another subject or audience is refused', async () => {
    await refused(
      sign(await issuer.token({ aud: audience, sub: 'repo:evil/x:ref:refs/heads/main' })),
      'it was signed by',
    )
    await refused(sign(await issuer.token({ aud: 'sigstore' })), 'another key or purpose')
    await refused(sign(await issuer.token({ aud: [audience, 'sigstore'] })), 'another key or purpose')
  })

  test("with the token of somebody else's key is refused", async () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
    const theirs = await audienceFor({ kty: 'EC', crv: 'P-256', x: other.x!, y: other.y! })
    await refused(sign(await issuer.token({ aud: theirs })), 'another key or purpose')
  })

  test('by another key than it carries is refused', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await refused(sign(await issuer.token({ aud: audience }), { by: privateKey }), 'did not make it')
  })

  test('with a token that nobody signed, or that a secret signed, is refused', async () => {
    const none = new UnsecuredJWT({ aud: audience, sub: subject })
      .setIssuer(issuer.url)
      .setIssuedAt(nowS)
      .setExpirationTime(nowS + 300)
      .encode()
    await refused(sign(none), 'does not hold')
    const secret = new CompactSign(
      utf8(JSON.stringify({ iss: issuer.url, sub: subject, aud: audience, iat: nowS, exp: nowS + 300 })),
    )
      .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
      .sign(utf8(JSON.stringify(issuer.jwks.keys[0])))
    await refused(sign(await secret), 'does not hold')
  })

  test('after the token had expired, or before it was made, is refused; a minute of two clocks is not', async () => {
    const times = { iat: nowS - 600, exp: nowS - 300 }
    const token = await issuer.token({ aud: audience }, times)
    await refused(sign(token), '"exp"')
    await refused(sign(token, { iat: times.exp + 60 }), '"exp"')
    await refused(sign(token, { iat: times.iat - 61 }), 'younger')
    for (const iat of [times.exp + 59, times.iat - 60]) {
      expect((await verifyKeyless(await sign(token, { iat }), trusted())).by.at).toBe(iat)
    }
    await refused(sign(token, { iat: 'now' }), 'when it was made')
  })

  test('with a private key, a key of another kind, or no token in its header is refused', async () => {
    const token = await issuer.token({ aud: audience })
    await refused(sign(token, { header: { jwk: key.export({ format: 'jwk' }) } }), 'no public key')
    await refused(sign(token, { header: { jwk: { kty: 'oct', k: 'AAAA' } } }), 'no public key')
    await refused(sign(token, { header: { 'writ-id-token': undefined } }), 'no identity token')
  })

  test('that is no JWT at all is refused, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.json().map((json) => `${Buffer.from(json).toString('base64url')}.e30.AA`),
        ),
        async (text) => {
          await expect(verifyKeyless(text, trusted())).rejects.toThrow()
        },
      ),
    )
  })
})

describe('whoever signs', () => {
  test('without a token, or with one for another key, is told which audience it takes', async () => {
    const nowMs = nowS * 1000
    await expect(keylessSigner({ env: {}, nowMs })).rejects.toMatchObject({
      code: 'unauthorized',
      message: expect.stringContaining('writ-bundle:') as string,
    })
    const env = { ...issuer.env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'stolen' }
    await expect(keylessSigner({ env, nowMs })).rejects.toMatchObject({
      code: 'unauthorized',
      message: expect.stringContaining('401') as string,
    })
    await expect(keylessSigner({ env: { WRIT_ID_TOKEN: 'x' }, nowMs })).rejects.toMatchObject({
      cure: expect.stringContaining('--signing-key') as string,
    })
    const late = keylessSigner({ env: issuer.env, nowMs: nowMs + 301_000 })
    await expect(late).rejects.toThrow('expired')
  })
})

test('a star in a subject stops at a slash and at a colon', () => {
  expect(matches('repo:acme/*:ref:refs/heads/main', 'repo:acme/policies:ref:refs/heads/main')).toBe(true)
  expect(matches('repo:acme/*:ref:refs/heads/main', 'repo:acme/a:b:ref:refs/heads/main')).toBe(false)
  expect(matches('repo:acme/p:ref:refs/heads/*', 'repo:acme/p:ref:refs/heads/a/b')).toBe(false)
  expect(matches('a.c', 'abc')).toBe(false)
  fc.assert(fc.property(fc.string(), (text) => matches(text.replaceAll('*', ''), text.replaceAll('*', '')) === true))
})
