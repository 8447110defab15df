import { assert, nat, property, uint8Array } from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c } from '../../../audit/node/crc32c.ts'

/** Bit by bit, as RFC 3720 describes it. */
function byTheBit(bytes: Uint8Array): number {
  let crc = -1
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

test('the check value of CRC-32C, and the examples of RFC 3720 appendix B.4', () => {
  const of = (bytes: Uint8Array) => crc32c(bytes, 0, bytes.length)
  expect(of(new TextEncoder().encode('123456789'))).toBe(0xe3069283)
  expect(of(new Uint8Array(32))).toBe(0x8a9136aa)
  expect(of(new Uint8Array(32).fill(255))).toBe(0x62a8ab43)
})

test('any stretch of any bytes has the sum that its bits have', () => {
  assert(
    property(uint8Array({ maxLength: 200 }), nat(200), nat(200), (bytes, a, b) => {
      const from = Math.min(a, b, bytes.length)
      const to = Math.min(Math.max(a, b), bytes.length)
      expect(crc32c(bytes, from, to)).toBe(byTheBit(bytes.subarray(from, to)))
    }),
  )
})
