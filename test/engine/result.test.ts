import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Json } from '../../core/json.ts'
import { readResult } from '../../engine/result.ts'

const allow = (members: object = {}) => readResult({ allowed: true, ...members } as Json)
const deny = (members: object = {}) => readResult({ allowed: false, ...members } as Json)

test('a boolean is an answer, and nothing else that looks like one', () => {
  expect(readResult(true)).toEqual({ kind: 'allow', reasons: [] })
  expect(readResult(false)).toEqual({ kind: 'deny', reasons: [] })
  for (const value of [null, 0, 1, '', 'true', [], [true], {}, { allowed: 'true' }, { allowed: 1 }, { allow: true }]) {
    expect(readResult(value as Json).kind).toBe('invalid')
  }
})

test('headers of an allowed request go upstream, of a denied one to the caller', () => {
  expect(allow({ headers: { 'X-Role': 'teller' }, response_headers_to_add: { 'x-by': 'writ' } })).toEqual({
    kind: 'allow',
    reasons: [],
    effects: { setOnRequest: { 'x-role': 'teller' }, setOnResponse: { 'x-by': 'writ' } },
  })
  expect(deny({ headers: { 'www-authenticate': 'Bearer' }, http_status: 401, body: 'no' })).toEqual({
    kind: 'deny',
    reasons: [],
    answer: { status: 401, headers: { 'www-authenticate': 'Bearer' }, body: 'no' },
  })
})

test('headers come as one object or as several, with one value or a list', () => {
  expect(
    allow({ headers: [{ a: '1' }, { b: ['2', '3'] }, { A: '4' }], request_headers_to_remove: ['Cookie'] }),
  ).toEqual({
    kind: 'allow',
    reasons: [],
    effects: { setOnRequest: { a: '1, 4', b: '2, 3' }, removeFromRequest: ['cookie'] },
  })
})

test('nothing that frames a message, names its host or says who sent it may be touched', () => {
  const names = [
    'connection',
    'content-length',
    'transfer-encoding',
    'host',
    'x-forwarded-client-cert',
    'te',
    'upgrade',
  ]
  const more = [
    'expect',
    'trailer',
    'keep-alive',
    'proxy-connection',
    'forwarded',
    'x-forwarded-for',
    ':path',
    ':authority',
  ]
  for (const name of [...names, ...more, 'Content-Length', 'HOST']) {
    expect([name, allow({ headers: { [name]: 'x' } }).kind]).toEqual([name, 'invalid'])
    expect([name, allow({ response_headers_to_add: [{ [name]: 'x' }] }).kind]).toEqual([name, 'invalid'])
    expect([name, allow({ request_headers_to_remove: [name] }).kind]).toEqual([name, 'invalid'])
    expect([name, deny({ headers: { [name]: 'x' } }).kind]).toEqual([name, 'invalid'])
  }
  expect(allow({ headers: { 'x-host': 'x' } }).kind).toBe('allow')
})

test('a header that could break out of its line is invalid', () => {
  for (const value of ['a\r\nb: c', 'a\nb', 'a\0', ' a', 'a ', 'ü€', 1, null, {}, [['a']]]) {
    expect([value, allow({ headers: { a: value } }).kind]).toEqual([value, 'invalid'])
  }
  for (const name of ['', 'a b', 'a:', 'a\n', 'ä'])
    expect([name, allow({ headers: { [name]: 'x' } }).kind]).toEqual([name, 'invalid'])
  expect(allow({ headers: { a: '', b: 'x y\tz' } }).kind).toBe('allow')
})

test('two cookies do not join, one is fine', () => {
  expect(deny({ headers: { 'set-cookie': ['a=1'] } }).kind).toBe('deny')
  expect(deny({ headers: { 'set-cookie': ['a=1', 'b=2'] } }).kind).toBe('invalid')
})

test('sixty-four headers are allowed, one more is not', () => {
  const headers = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`h${i}`, 'x']))
  expect(allow({ headers: headers(64) }).kind).toBe('allow')
  expect(allow({ headers: headers(65) }).kind).toBe('invalid')
})

test('a refusal has the status of a refusal', () => {
  for (const http_status of [302, 400, 403, 429, 503]) expect(deny({ http_status }).kind).toBe('deny')
  for (const http_status of [0, 100, 101, 200, 204, 304, 299, 600, 403.5, '403', null]) {
    expect([http_status, deny({ http_status }).kind]).toEqual([http_status, 'invalid'])
  }
})

test('changes to the query are not possible, metadata for Envoy is passed over', () => {
  expect(allow({ query_parameters_to_remove: ['token'] }).kind).toBe('invalid')
  expect(allow({ query_parameters_to_set: { a: '1' } }).kind).toBe('invalid')
  expect(allow({ query_parameters_to_remove: [], dynamic_metadata: { a: 1 } })).toEqual({ kind: 'allow', reasons: [] })
})

test('reasons are texts, bounded in number and length', () => {
  expect(deny({ reasons: ['a', 'b'] })).toEqual({ kind: 'deny', reasons: ['a', 'b'] })
  expect(deny({ reasons: 'a' }).kind).toBe('invalid')
  expect(deny({ reasons: [1] }).kind).toBe('invalid')
  const many = deny({ reasons: Array.from({ length: 40 }, () => 'x'.repeat(300)) })
  expect(many.kind === 'deny' && many.reasons).toEqual(Array.from({ length: 16 }, () => `${'x'.repeat(255)}…`))
  const parted = deny({ reasons: [`${'x'.repeat(254)}😀😀`] })
  expect(parted.kind === 'deny' && parted.reasons[0]!.isWellFormed()).toBe(true)
})

test('whatever a policy answers is read or invalid, and what is read can be sent', () => {
  const keys = fc.constantFrom('allowed', 'headers', 'reasons', 'body', 'http_status', 'request_headers_to_remove')
  const answer = fc.oneof(fc.jsonValue(), fc.dictionary(keys, fc.oneof(fc.boolean(), fc.jsonValue())))
  fc.assert(
    fc.property(answer, (value) => {
      const result = readResult(value as Json)
      const sent =
        result.kind === 'allow' ? result.effects?.setOnRequest : result.kind === 'deny' ? result.answer?.headers : {}
      for (const [name, text] of Object.entries(sent ?? {})) new Headers().set(name, text)
    }),
  )
})
