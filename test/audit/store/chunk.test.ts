import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chunksOf, leavesOf, maxChunkBytes, maxChunkLeaves } from '../../../audit/store/chunk.ts'
import { concat } from '../../../core/bytes.ts'

const leaf = fc.uint8Array({ maxLength: 300 })

test('chunks give back the leaves in their order, of whatever lengths', () => {
  fc.assert(
    fc.property(fc.array(leaf, { maxLength: 40 }), (leaves) => {
      const chunks = [...chunksOf(leaves.map((bytes) => ({ bytes })))]
      expect(chunks.flatMap((chunk) => leavesOf(chunk)!)).toEqual(leaves)
    }),
  )
})

test('a chunk is full at so many leaves or bytes, and one leaf always fits', () => {
  const counts = (length: number, size: number) =>
    [...chunksOf(Array.from({ length }, () => ({ bytes: new Uint8Array(size) })))].map(({ count }) => count)
  expect(counts(maxChunkLeaves + 1, 0)).toEqual([maxChunkLeaves, 1])
  expect(counts(17, 0xffff)).toEqual([15, 2])
  for (const { bytes } of chunksOf(Array.from({ length: 17 }, () => ({ bytes: new Uint8Array(0xffff) })))) {
    expect(bytes.length).toBeLessThanOrEqual(maxChunkBytes)
  }
  expect(() => counts(1, 0x10000)).toThrow(RangeError)
})

test('of any bytes, what reads as leaves is exactly these bytes and this count; all else is none', () => {
  let read = 0
  // Short lengths, so that many of them add up.
  const bytes = fc.array(fc.oneof(fc.constantFrom(0, 0, 1, 2), fc.nat(255)), { maxLength: 12 })
  fc.assert(
    fc.property(bytes, fc.nat(6), (numbers, count) => {
      const chunk = { bytes: Uint8Array.from(numbers), count }
      const leaves = leavesOf(chunk)
      if (!leaves) return
      read++
      expect(leaves).toHaveLength(count)
      const again = leaves.map((one) => concat(Uint8Array.of(one.length >> 8, one.length & 255), one))
      expect([...concat(...again)]).toEqual(numbers)
    }),
    { numRuns: 2000 },
  )
  expect(read).toBeGreaterThan(0)
})

test('a chunk that was cut, lengthened or miscounted has no leaves', () => {
  fc.assert(
    fc.property(fc.array(leaf, { minLength: 1, maxLength: 10 }), fc.nat(), (leaves, cut) => {
      const [chunk] = [...chunksOf(leaves.map((bytes) => ({ bytes })))]
      const { bytes, count } = chunk!
      expect(leavesOf({ bytes: bytes.subarray(0, cut % bytes.length), count })).toBeUndefined()
      expect(leavesOf({ bytes: concat(bytes, Uint8Array.of(0)), count })).toBeUndefined()
      for (const other of [count - 1, count + 1]) expect(leavesOf({ bytes, count: other })).toBeUndefined()
    }),
  )
})
