import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inBlocks } from '../../../proxy/flow/random.ts'

test('bytes come in the lengths that were asked for, each once, and in blocks', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5000), { maxLength: 40 }), (lengths) => {
      let fetched = 0
      let counter = 0
      const given = inBlocks((length) => {
        fetched++
        const block = new Uint32Array(length).map(() => counter++)
        return block as unknown as Uint8Array
      })
      const seen = lengths.flatMap((length) => {
        const bytes = given(length)
        expect(bytes).toHaveLength(length)
        return [...bytes]
      })
      expect(new Set(seen).size).toBe(seen.length)
      expect(fetched).toBeLessThanOrEqual(lengths.length)
    }),
  )
})

test('256 ids of 16 bytes are one fetch, one more is two', () => {
  let fetched = 0
  const given = inBlocks((length) => {
    fetched++
    return new Uint8Array(length)
  })
  for (let i = 0; i < 256; i++) given(16)
  expect(fetched).toBe(1)
  given(16)
  expect(fetched).toBe(2)
})
