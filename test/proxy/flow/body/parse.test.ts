import fc from 'fast-check'
import { expect, test } from 'vitest'
import { utf8 } from '../../../../core/bytes.ts'
import { exactText } from '../../../../core/exact.ts'
import type { RequestHead } from '../../../../core/facts.ts'
import { readMediaType } from '../../../../proxy/flow/body/media.ts'
import { parseBody } from '../../../../proxy/flow/body/parse.ts'

const headOf = (headers: Record<string, string>): RequestHead => ({
  ...{ method: 'POST', authority: 'a', path: '/', query: undefined, protocol: 'HTTP/1.1', scheme: 'https' },
  headers,
})

function parse(content: string | Uint8Array, headers: Record<string, string>, truncated = false) {
  const bytes = typeof content === 'string' ? utf8(content) : content
  return parseBody(headOf(headers), { bytes, truncated, size: truncated ? -1 : bytes.length })
}

const json = { 'content-type': 'application/json' }

test.each([
  ['application/json', '{"a":1}', '{"a":1}'],
  ['Application/JSON; charset=UTF-8', '{"a":1}', '{"a":1}'],
  ['application/merge-patch+json;', '{"a":1}', '{"a":1}'],
  ['application/x-www-form-urlencoded', 'a=1&a=2', '{"a":["1","2"]}'],
  [
    'multipart/form-data; boundary="b"',
    '--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--',
    '{"a":["1"]}',
  ],
  ['application/grpc', 'anything', 'null'],
  ['text/plain', '{"a":1}', 'null'],
])('%s is parsed', (type, content, parsed) => {
  const body = parse(content, { 'content-type': type })
  expect(body).toMatchObject({ text: content, truncated: false, size: content.length })
  expect('parsed' in body && exactText(body.parsed)).toBe(parsed)
})

test.each([
  ['JSON that is none', '{"a":', json],
  ['a name that comes twice', '{"a":1,"a":2}', json],
  ['JSON that is not UTF-8', Uint8Array.of(34, 255, 34), json],
  ['a form with a bad escape', 'a=%', { 'content-type': 'application/x-www-form-urlencoded' }],
  ['multipart without a boundary', '--b--', { 'content-type': 'multipart/form-data' }],
  ['two media types', '{}', { 'content-type': 'text/plain, application/json' }],
  ['a media type with the same parameter twice', '{}', { 'content-type': 'application/json; a=1; a=2' }],
  ['JSON in gzip', '{}', { ...json, 'content-encoding': 'gzip' }],
  ['JSON in another charset', '{}', { 'content-type': 'application/json; charset=utf-16' }],
])('%s is refused', (_, content, headers) => {
  expect(parse(content, headers)).toHaveProperty('wrong')
})

test('what nobody parses may be encoded: the policy sees the field', () => {
  expect(parse('x', { 'content-type': 'text/plain', 'content-encoding': 'gzip' })).toMatchObject({ parsed: null })
  expect(parse('{}', { ...json, 'content-encoding': 'identity' })).toMatchObject({ parsed: {} })
})

test('what was cut off is not parsed, and half a character at its end is left out', () => {
  expect(parse('{"a":', json, true)).toMatchObject({ parsed: null, text: '{"a":', truncated: true, size: -1 })
  const half = Uint8Array.of(97, 0xe2, 0x82)
  expect(parse(half, json, true)).toMatchObject({ text: 'a' })
  expect(parse(half, { 'content-type': 'text/plain' })).toMatchObject({ text: undefined, raw: 'YeKC' })
})

test('an empty body is parsed as nothing, whatever it is said to be', () => {
  expect(parse('', json)).toEqual({ parsed: null, text: '', truncated: false, size: 0 })
  expect(parse('', { 'content-type': ',' })).toEqual({ parsed: null, text: '', truncated: false, size: 0 })
})

test('no body throws', () => {
  const type = fc.constantFrom(
    'application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=b',
  )
  fc.assert(
    fc.property(fc.uint8Array(), fc.oneof(type, fc.string()), fc.boolean(), (bytes, of, truncated) => {
      expect(Object.keys(parse(bytes, { 'content-type': of }, truncated))).not.toHaveLength(0)
    }),
  )
})

test('a media type comes back with its parameters, and nothing else is one', () => {
  expect(readMediaType('Text/Plain ; A=b;c="d e" ;')).toEqual({
    type: 'text/plain',
    parameters: new Map([
      ['a', 'b'],
      ['c', 'd e'],
    ]),
  })
  for (const text of [
    '',
    'text',
    'text/',
    'text/plain a',
    'text/plain; a',
    'text/plain; a="b',
    'text/plain; a="\\""',
  ]) {
    expect(readMediaType(text)).toBeUndefined()
  }
  const token = fc.stringMatching(/^[a-z0-9!#$+.-]{1,8}$/)
  fc.assert(
    fc.property(token, token, fc.uniqueArray(fc.tuple(token, token), { selector: ([name]) => name }), (a, b, list) => {
      const text = `${a}/${b}${list.map(([name, value], i) => `; ${name}=${i % 2 ? value : `"${value}"`}`).join('')}`
      expect(readMediaType(text)).toEqual({ type: `${a}/${b}`, parameters: new Map(list) })
    }),
  )
})
