import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromHex, fromUtf8, toHex, utf8 } from '../../core/bytes.ts'
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
