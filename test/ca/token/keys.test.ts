import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keyFor, readTokenKeys } from '../../../ca/token/key-set.ts'
import { holdKeys, type KeyLimits, type KeyNews } from '../../../ca/token/keys.ts'
import { utf8 } from '../../../core/bytes.ts'
import type { TokenKeys } from '../../../core/token.ts'
import { keysOf, setOf, signing } from './issuer.ts'

const [one, two] = [await signing('ES256', 'k1'), await signing('ES256', 'k2')]
const url: TokenKeys = { kind: 'url', url: 'https://id.example/jwks', refreshMs: 300_000, privateAddresses: false }

function holding(limits?: KeyLimits) {
  const news: KeyNews[] = []
  let asked = 0
  let answer: () => Uint8Array | Promise<Uint8Array> = () => setOf(one.jwk)
  const fetchKeys = async () => {
    asked++
    return answer()
  }
  const held = holdKeys(fetchKeys, (it) => news.push(it), limits)
  const kids = async (atMs: number, again = false) =>
    (await (again ? held.again(url, atMs) : held.current(url, atMs)))?.map(({ kid }) => kid)
  return { held, news, kids, asked: () => asked, answers: (next: typeof answer) => void (answer = next) }
}
const away = (): never => {
  throw new Error('away')
}

test('keys are asked for once, however many want them at once, and again when they are old, behind the request', async () => {
  const { held, kids, asked, answers } = holding()
  expect(await Promise.all([kids(0), kids(0), kids(1)])).toEqual([['k1'], ['k1'], ['k1']])
  expect(asked()).toBe(1)
  expect(held.current(url, 299_999)).not.toBeInstanceOf(Promise)
  expect(asked()).toBe(1)
  answers(() => setOf(two.jwk))
  expect(await kids(300_000)).toEqual(['k1'])
  expect(asked()).toBe(2)
  await Promise.resolve()
  await new Promise((resolve) => setTimeout(resolve))
  expect(await kids(300_001)).toEqual(['k2'])
})

test('keys that nobody asked for in long are asked for before the request is judged', async () => {
  const { kids, answers } = holding()
  await kids(0)
  answers(() => setOf(two.jwk))
  expect(await kids(600_000)).toEqual(['k2'])
})

test('a key that nobody knows asks once in its interval, whoever floods', async () => {
  const { kids, asked, answers } = holding()
  await kids(0)
  for (let i = 0; i < 1000; i++) await kids(i, true)
  expect(asked()).toBe(1)
  answers(() => setOf(one.jwk, two.jwk))
  const all = await Promise.all(Array.from({ length: 100 }, () => kids(30_000, true)))
  expect(asked()).toBe(2)
  expect(all.every((found) => found?.join() === 'k1,k2')).toBe(true)
  for (let i = 0; i < 100; i++) await kids(30_001 + i, true)
  expect(asked()).toBe(2)
})

test('while the server is away the last good keys stay, it is told once, and nobody waits for it', async () => {
  const { held, news, kids, asked, answers } = holding()
  await kids(0)
  answers(away)
  expect(await kids(600_000)).toEqual(['k1'])
  expect(held.current(url, 700_000)).not.toBeInstanceOf(Promise)
  await new Promise((resolve) => setTimeout(resolve))
  expect(news).toEqual([{ url: 'https://id.example/jwks', problem: 'away', kept: true }])
  const before = asked()
  for (let i = 0; i < 100; i++) await kids(700_001 + i)
  expect(asked()).toBe(before)
  answers(() => setOf(two.jwk))
  await kids(800_000)
  await new Promise((resolve) => setTimeout(resolve))
  expect(await kids(800_001)).toEqual(['k2'])
  expect(news[1]).toEqual({ url: 'https://id.example/jwks', problem: undefined, kept: true })
})

test('where there never were keys there are none, and it is tried again after a while', async () => {
  const { kids, asked, answers } = holding()
  answers(away)
  expect(await kids(0)).toBeUndefined()
  expect(await kids(4999)).toBeUndefined()
  expect(asked()).toBe(1)
  answers(() => setOf(one.jwk))
  expect(await kids(5000)).toEqual(['k1'])
})

test('an answer that is no key set changes nothing', async () => {
  const large = utf8(`{"keys":[],"x":"${'y'.repeat(256 * 1024)}"}`)
  const many = setOf(...Array.from({ length: 101 }, () => one.jwk))
  const hidden = setOf({ ...one.jwk, d: 'AA' })
  const secret = setOf({ kty: 'oct', k: 'AAAA', kid: 'k1' })
  for (const wrong of [large, many, hidden, secret, utf8('x'), utf8('{}'), utf8('{"keys":[],"keys":[]}'), setOf()]) {
    const { kids, news, answers } = holding()
    await kids(0)
    answers(() => wrong)
    expect(await kids(600_000)).toEqual(['k1'])
    expect(news).toHaveLength(1)
  }
})

test('a key that is still published stays the same object', async () => {
  const { held, answers } = holding()
  const [before] = (await held.current(url, 0))!
  answers(() => setOf(two.jwk, one.jwk))
  expect((await held.current(url, 600_000))![1]).toBe(before)
})

test('URLs beyond the limit are forgotten, the one that was used longest ago first', async () => {
  const { held, asked } = holding({ maxUrls: 2 })
  const of = (name: string): TokenKeys => ({ ...url, url: `https://${name}.example` }) as TokenKeys
  for (const name of ['a', 'b', 'a', 'c', 'a']) await held.current(of(name), 0)
  expect(asked()).toBe(3)
  await held.current(of('b'), 0)
  expect(asked()).toBe(4)
})

test('keys for another use, of another kind or too short are passed over', async () => {
  const rsa = await signing('RS256', 'r')
  const odd = [
    { ...one.jwk, use: 'enc' },
    { ...one.jwk, key_ops: ['sign'] },
    { ...one.jwk, crv: 'secp256k1' },
    { ...one.jwk, x: 'not base64' },
    { ...one.jwk, alg: 'HS256' },
    { ...one.jwk, kid: 7 },
    { ...rsa.jwk, n: String(rsa.jwk['n']).slice(0, 172) },
  ]
  expect(readTokenKeys(setOf(...odd, two.jwk))).toMatchObject({ ok: true, keys: [{ kid: 'k2' }] })
  expect(readTokenKeys(setOf(...odd)).ok).toBe(false)
})

test('a key is for its own algorithm, and for one of its kind', () => {
  const [key] = keysOf(one.jwk)
  const fits = (alg: string, of = key!) => keyFor({ alg, kid: 'k1' }, [of]) !== undefined
  expect(fits('ES256')).toBe(true)
  expect(fits('ES256', { ...key!, alg: 'ES384' })).toBe(false)
  for (const alg of ['ES384', 'ES512', 'RS256', 'EdDSA', 'HS256', 'none']) expect(fits(alg)).toBe(false)
  const { alg: _, ...rsa } = { ...key!, kty: 'RSA' as const }
  expect(['RS256', 'PS512', 'HS256', 'none', 'ES256'].filter((alg) => fits(alg, rsa))).toEqual(['RS256', 'PS512'])
})

test('whatever a set holds, nothing is thrown, and nothing but public keys comes of it', () => {
  const member = fc.oneof(fc.constantFrom('RSA', 'EC', 'OKP', 'oct', 'P-256', 'Ed25519', 'sig', 'AQAB'), fc.jsonValue())
  const key = fc.dictionary(fc.constantFrom('kty', 'kid', 'alg', 'use', 'crv', 'x', 'y', 'n', 'e', 'k'), member)
  fc.assert(
    fc.property(fc.array(key), (keys) => {
      const read = readTokenKeys(utf8(JSON.stringify({ keys })))
      if (!read.ok) return
      for (const found of read.keys) {
        expect(Object.keys(found).every((name) => 'kty kid alg crv x y n e'.split(' ').includes(name))).toBe(true)
        expect(keyFor({ alg: 'HS256', kid: found.kid }, [found])).toBeUndefined()
      }
    }),
  )
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void readTokenKeys(bytes)))
})
