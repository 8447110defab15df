import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromBase64, fromBase64Url, fromHex, fromUtf8, toBase64, toBase64Url, toHex, utf8 } from '../../core/bytes.ts'
import { parseEvent } from '../../core/record.ts'

test('hex has two lower-case digits for each byte, and reads back', () => {
  expect(toHex(Uint8Array.of(0, 1, 15, 16, 171, 255))).toBe('00010f10abff')
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void expect(fromHex(toHex(bytes))).toEqual(bytes)))
})

test('no byte is lost on the way to text and back, a byte order mark neither', () => {
  const marked = Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d)
  expect(utf8(fromUtf8(marked))).toEqual(marked)
  expect(parseEvent(marked)).not.toHaveProperty('event')
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed()),
      (text) => {
        expect(fromUtf8(utf8(text))).toBe(text)
      },
    ),
  )
})

test('base64 reads back, and of all texts exactly those are taken that are written so', () => {
  const alphabet = fc.constantFrom(...'ABab09+/-_= \n\u00e9\u0141')
  const texts = fc.oneof(fc.string({ unit: alphabet, maxLength: 9 }), fc.base64String({ maxLength: 9 }))
  const same = (read: Uint8Array | undefined, text: string, encoding: 'base64' | 'base64url') => {
    const bytes = Buffer.from(text, encoding)
    expect(read && Buffer.from(read)).toEqual(bytes.toString(encoding) === text ? bytes : undefined)
  }
  fc.assert(fc.property(texts, (text) => same(fromBase64(text), text, 'base64')))
  fc.assert(
    fc.property(texts, (text) => same(fromBase64Url(text.replace(/=+$/, '')), text.replace(/=+$/, ''), 'base64url')),
  )
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect([fromBase64(toBase64(bytes)), fromBase64Url(toBase64Url(bytes))]).toEqual([bytes, bytes])
    }),
  )
  expect([fromBase64('QQ'), fromBase64('QQ='), fromBase64('QR=='), fromBase64Url('QQ=='), fromBase64Url('QR')]).toEqual(
    Array(5).fill(undefined),
  )
})
