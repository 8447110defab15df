import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BodyReader } from '../../../proxy/http1/body.ts'
import type { Framing } from '../../../proxy/http1/fields.ts'

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))

function read(framing: Framing, bytes: Uint8Array, cuts: readonly number[] = []) {
  const reader = new BodyReader(framing)
  let data = ''
  let at = 0
  for (const to of [...cuts, bytes.length]) {
    if (reader.done || reader.wrong !== undefined) break
    at = reader.read(bytes, at, to, (from, end) => {
      data += String.fromCharCode(...bytes.subarray(from, end))
    })
  }
  return { data, used: at, done: reader.done, wrong: reader.wrong, bytes: reader.bytes }
}

const chunked = (text: string) => read({ kind: 'chunked' }, bytesOf(text))

test('a body of a length ends there, and what follows is left', () => {
  expect(read({ kind: 'length', length: 3 }, bytesOf('abcdef'))).toMatchObject({ data: 'abc', used: 3, done: true })
  expect(read({ kind: 'length', length: 7 }, bytesOf('abcdef'))).toMatchObject({ data: 'abcdef', done: false })
  expect(read({ kind: 'none' }, bytesOf('abc'))).toMatchObject({ data: '', used: 0, done: true })
})

test('chunks come out joined, with extensions and trailers dropped', () => {
  const text = '3\r\nabc\r\nA;x="y"\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-B:\r\n\r\nGET'
  expect(chunked(text)).toMatchObject({ data: 'abc0123456789', used: text.length - 3, done: true, bytes: 13 })
})

test.each([
  ['no size', '\r\nabc'],
  ['a size that is not hex', 'g\r\n'],
  ['a signed size', '+3\r\nabc\r\n'],
  ['a prefixed size', '0x3\r\nabc\r\n'],
  ['a space before the size', ' 3\r\nabc\r\n'],
  ['a space after the size', '3 \r\nabc\r\n'],
  ['a size beyond every number', 'fffffffffffff\r\n'],
  ['a bare LF after the size', '3\nabc\r\n'],
  ['a bare CR after the size', '3\rxabc'],
  ['a chunk longer than its size', '3\r\nabcd\r\n'],
  ['a bare LF after a chunk', '3\r\nabc\n0\r\n\r\n'],
  ['a control character in an extension', '3;\x01\r\nabc\r\n'],
  ['a bare LF in an extension', '3;a\nb\r\nabc\r\n'],
  ['an extension without end', `3;${'a'.repeat(257)}`],
  ['a trailer without a name', '0\r\n: 1\r\n\r\n'],
  ['a trailer without a colon', '0\r\nX\r\n\r\n'],
  ['a folded trailer', '0\r\nX: 1\r\n 2\r\n\r\n'],
  ['a space before a trailer colon', '0\r\nX : 1\r\n\r\n'],
  ['trailers without end', `0\r\n${'X: 1\r\n'.repeat(1500)}`],
  ['a bare LF at the end', '0\r\n\n'],
])('a body with %s is wrong', (_, text) => {
  expect(chunked(text).wrong).toBeDefined()
})

test('tiny chunks cannot carry extensions for ever', () => {
  const one = `1;${'e'.repeat(200)}\r\nx\r\n`
  expect(chunked(one.repeat(80)).wrong).toBeUndefined()
  expect(chunked(one.repeat(83)).wrong).toContain('extensions')
})

test('no bytes throw, and how they are split changes nothing', () => {
  const pieces = fc.constantFrom(
    '3\r\nabc\r\n',
    '0\r\n\r\n',
    '0\r\nX: 1\r\n\r\n',
    '1;a=b\r\nz\r\n',
    '\r',
    '\n',
    'f',
    ';',
  )
  const bytes = fc
    .array(fc.oneof(pieces, pieces, fc.string({ maxLength: 3 })), { maxLength: 8 })
    .map((list) => bytesOf(list.join('')))
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(60), { maxLength: 6 }), (all, cuts) => {
      const sorted = cuts.filter((cut) => cut <= all.length).sort((a, b) => a - b)
      expect(read({ kind: 'chunked' }, all, sorted)).toEqual(read({ kind: 'chunked' }, all))
    }),
    { numRuns: 2000 },
  )
})

test('chunks of any sizes give the body back', () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z]{1,40}$/), { maxLength: 6 }), fc.nat(100), (list, cut) => {
      const text = `${list.map((one) => `${one.length.toString(16)}\r\n${one}\r\n`).join('')}0\r\n\r\n`
      const result = read({ kind: 'chunked' }, bytesOf(text), [Math.min(cut, text.length)])
      expect(result).toMatchObject({ data: list.join(''), done: true, used: text.length })
    }),
  )
})
