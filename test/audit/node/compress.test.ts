import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compress, decompress } from '../../../audit/node/compress.ts'

const bytes = fc.uint8Array({ maxLength: 2000 })

test('what was compressed becomes the same bytes, also what a Node without zstd wrote', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, async (given) => {
      for (const packed of [await compress(given), gzipSync(given)]) {
        expect(Buffer.from(await decompress(packed, 2000)).equals(given)).toBe(true)
      }
    }),
    { numRuns: 50 },
  )
})

test('what would become one byte more than the limit is refused', async () => {
  const given = new Uint8Array(100_000)
  for (const packed of [await compress(given), gzipSync(given)]) {
    expect(await decompress(packed, 100_000)).toHaveLength(100_000)
    await expect(decompress(packed, 99_999)).rejects.toThrow()
  }
})

test('any bytes are refused or become no more than the limit; nothing else happens', async () => {
  const heads = [[], [0x1f, 0x8b], [0x1f, 0x8b, 8, 0], [0x28, 0xb5, 0x2f, 0xfd]].map((head) => Uint8Array.from(head))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 60 }), async (head, rest) => {
      const read = await decompress(Buffer.concat([head, rest]), 50).catch((thrown: unknown) => thrown)
      if (read instanceof Uint8Array) expect(read.length).toBeLessThanOrEqual(50)
      else expect(read).toBeInstanceOf(Error)
    }),
    { numRuns: 200 },
  )
})
