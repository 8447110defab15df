import fc from 'fast-check'
import { expect, test } from 'vitest'
import { broughtToken, inCookies, inHeader } from '../../../ca/token/places.ts'
import { readToken } from '../../../ca/token/read.ts'
import type { TokenPlace } from '../../../core/token.ts'
import { headOf, part, providerOf } from './issuer.ts'

const letters = 'ABCxyz019-_.~+/='
const text = fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 20 }).filter((it) => it !== '')

test('after its scheme a field holds one token, whatever the case of the scheme and the space around', () => {
  fc.assert(
    fc.property(text, fc.constantFrom('Bearer ', 'bearer ', 'BEARER   ', ' Bearer\t'), (token, scheme) => {
      expect(inHeader(`${scheme}${token} `, 'Bearer ')).toEqual([token])
      expect(inHeader(`${scheme}${token}`, 'DPoP ')).toEqual([])
      expect(inHeader(`Bearer${token}`, 'Bearer ')).toEqual([])
      expect(inHeader(token, '')).toEqual([token])
    }),
  )
  expect(inHeader('Bearer', 'Bearer ')).toEqual([''])
  expect(inHeader(undefined, 'Bearer ')).toEqual([])
})

test('a field that came more than once is never one token, where any of it begins as one', () => {
  const part = fc.oneof(
    text,
    text.map((it) => `Bearer ${it}`),
    fc.constantFrom('', 'Basic YTpi', 'Bearer'),
  )
  fc.assert(
    fc.property(fc.array(part, { minLength: 2, maxLength: 4 }), (parts) => {
      const found = inHeader(parts.join(', '), 'Bearer ')
      const begins = parts.some((it) => /^bearer(?: |$)/i.test(it))
      expect(found.length > 1).toBe(begins)
      expect(found.length === 0).toBe(!begins)
    }),
  )
})

test('a cookie is found among any others, and each that has its name counts', () => {
  const other = fc
    .tuple(fc.constantFrom('a', 'token2', 'Token', 'xtoken'), text)
    .map(([name, value]) => `${name}=${value}`)
  fc.assert(
    fc.property(fc.array(other), fc.array(text, { maxLength: 3 }), fc.nat(), (others, tokens, at) => {
      const pairs = [...others]
      for (const token of tokens) pairs.splice(at % (pairs.length + 1), 0, `token=${token}`)
      expect([...inCookies(pairs.join('; '), 'token')].sort()).toEqual([...tokens].sort())
    }),
  )
  expect(inCookies('token="abc"', 'token')).toEqual(['abc'])
  expect(inCookies('token', 'token')).toEqual([])
})

test('of any request it is said that it brings none, one or many, and nothing is thrown', () => {
  const any = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), text)
  const places: readonly TokenPlace[] = [
    { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
    { kind: 'query', name: 'token' },
    { kind: 'cookie', name: 'token' },
  ]
  fc.assert(
    fc.property(any, any, fc.array(any), (authorization, cookie, values) => {
      const query = values.map((value) => `token=${encodeURIComponent(value.toWellFormed())}`).join('&')
      const brought = broughtToken(headOf({ authorization, cookie }, query), [providerOf([], { from: places })])
      if (values.length > 1) expect(brought.kind).toBe('many')
      if (brought.kind === 'one') expect(readToken(brought.text).ok).toBe(false)
    }),
  )
})

test('a name of an object’s own is no member of the query', () => {
  const providers = [providerOf([], { from: [{ kind: 'query', name: 'constructor' }] })]
  expect(broughtToken(headOf({}, 'a=b'), providers).kind).toBe('none')
  expect(broughtToken(headOf({}, 'constructor=b'), providers)).toMatchObject({ kind: 'one', text: 'b' })
})

test('a token whose algorithm takes a secret, or none, is refused before any key is asked', () => {
  const of = (alg: unknown) => readToken(`${part({ alg } as object)}.${part({ iss: 'a', aud: 'b', exp: 1 })}.AA`)
  expect(of('ES256')).toMatchObject({ ok: true })
  for (const alg of ['HS256', 'HS512', 'none', 'es256', 'dir', 7, null, undefined]) {
    expect(of(alg)).toEqual({ ok: false, wrong: 'a token that no public key can verify' })
  }
})

test('of any text it is said whether it has the form of a token, and nothing is thrown', () => {
  const piece = fc.oneof(
    fc.jsonValue().map((value) => part(value as object)),
    fc.base64String(),
    fc.string(),
  )
  fc.assert(fc.property(piece, piece, piece, (a, b, c) => void readToken(`${a}.${b}.${c}`)))
})
