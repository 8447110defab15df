import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chunkedEnd, maxTrailerBytes, readTrailers, trailersOf } from '../../../proxy/http1/trailers.ts'

const text = fc.string({
  unit: fc.oneof(fc.constantFrom(...'aZ0 :-_\t\r\n\0'), fc.integer({ min: 0, max: 300 }).map(String.fromCharCode)),
  maxLength: 8,
})
const names = ['grpc-status', 'X-Sum', 'authorization', 'Set_Cookie', 'host', 'transfer-encoding', 'x-request-id', 'te']
const field = fc.tuple(
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: text }),
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom('0', 'a b', '') }, { weight: 1, arbitrary: text }),
)
const fields = fc.array(field, { maxLength: 5 }).map((list) => list.flat())

test('of any trailers none that routes, frames or vouches travels on, and the rest ends a body in one way', () => {
  let read = 0
  fc.assert(
    fc.property(fields, (raw) => {
      const kept = readTrailers(raw)
      if ('wrong' in kept) return
      read++
      const asIs = raw.map((one, i) => (i % 2 === 0 ? one.toLowerCase() : one))
      const pairs = (list: readonly string[]) => list.flatMap((one, i) => (i % 2 ? [] : [`${one}: ${list[i + 1]}`]))
      expect(pairs(asIs)).toEqual(expect.arrayContaining(pairs(kept)))
      for (let i = 0; i < kept.length; i += 2) {
        expect(kept[i]).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+$/)
        expect(kept[i]).not.toMatch(/^(?:authorization|set[-_]cookie|host|transfer[-_]encoding|x[-_]request[-_]id|te)$/)
        expect(kept[i + 1]).toMatch(/^[\t\x20-\x7e\x80-\xff]*$/)
      }
      const end = chunkedEnd(kept)
      expect(end.split('\r\n')).toHaveLength(kept.length / 2 + 3)
      expect(end).toMatch(/^0\r\n[\s\S]*\r\n$/)
    }),
    { numRuns: 1000 },
  )
  expect(read).toBeGreaterThan(100)
})

test('lines of a chunked body are read as the list of them', () => {
  const line = fc.tuple(fc.constantFrom(...names), fc.constantFrom('0', 'a b', '', 'a:b'))
  fc.assert(
    fc.property(fc.array(line, { maxLength: 5 }), fc.constantFrom('', ' ', '\t '), (list, blank) => {
      const lines = list.map(([name, value]) => `${name}:${blank}${value}${blank}\r\n`).join('')
      expect(trailersOf(lines)).toEqual(readTrailers(list.flat()))
    }),
  )
})

test('64 trailers and 8192 bytes pass, one more of either does not', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => [`x-${i}`, '1']).flat()
  expect(readTrailers(many(64))).toHaveLength(128)
  expect(readTrailers(many(65))).toEqual({ wrong: 'too many trailer fields' })
  const long = (bytes: number) => readTrailers(['x-a', 'v'.repeat(bytes - 'x-a'.length - 4)])
  expect(long(maxTrailerBytes)).toHaveLength(2)
  expect(long(maxTrailerBytes + 1)).toEqual({ wrong: 'trailer fields without end' })
})
