import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromHex, toHex } from '../../core/bytes.ts'

test('hex has two lower-case digits for each byte, and reads back', () => {
  expect(toHex(Uint8Array.of(0, 1, 15, 16, 171, 255))).toBe('00010f10abff')
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void expect(fromHex(toHex(bytes))).toEqual(bytes)))
})
