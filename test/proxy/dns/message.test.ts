import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressAnswer, answers, codes, readQuery, refusal, withId } from '../../../proxy/dns/message.ts'

/** A query for one name of these labels, as a resolver writes it. */
function queryFor(labels: readonly string[], type = 1, id = 7): Uint8Array {
  const name = labels.flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')])
  return Uint8Array.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, type >> 8, type & 255, 0, 1])
}

test('a name is read in lower case, and only where every label could stand in a host name', () => {
  expect(readQuery(queryFor(['Orders', 'shop']))).toMatchObject({ id: 7, name: 'orders.shop', type: 1 })
  expect(readQuery(queryFor(['orders.shop']))).toMatchObject({ name: undefined }) // One label with a dot in it.
  expect(readQuery(queryFor(['\0orders']))).toMatchObject({ name: undefined })
  expect(readQuery(queryFor(['a'.repeat(63)]))).toMatchObject({ name: 'a'.repeat(63) })
  expect(readQuery(queryFor(['a'.repeat(64)]))).toEqual({ code: codes.formatError })
})

test.each([
  ['a response', 2, 0x81, undefined],
  ['an update', 2, 0x28, { code: codes.notImplemented }],
  ['two questions', 5, 2, { code: codes.formatError }],
  ['a name that points elsewhere', 12, 0xc0, { code: codes.formatError }],
  ['a label that goes on behind the end', 12, 60, { code: codes.formatError }],
])('%s is no question', (_, at, value, expected) => {
  const bytes = queryFor(['orders'])
  bytes[at] = value
  expect(readQuery(bytes)).toEqual(expected)
})

test('of any bytes nothing is read beyond their end, and what is answered repeats the question alone', () => {
  const label = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/)
  const real = fc.tuple(fc.array(label, { maxLength: 6 }), fc.nat(65_535), fc.nat(65_535)).map((of) => queryFor(...of))
  const cut = fc.tuple(real, fc.nat(60)).map(([bytes, at]) => bytes.subarray(0, at))
  const spoiled = fc.tuple(real, fc.nat(40), fc.nat(255)).map(([bytes, at, value]) => {
    if (at < bytes.length) bytes[at] = value
    return bytes
  })
  let read = 0
  fc.assert(
    fc.property(fc.oneof(real, cut, spoiled, fc.uint8Array({ maxLength: 60 })), fc.nat(65_535), (bytes, id) => {
      const query = readQuery(bytes)
      if (!query) return
      if ('code' in query) {
        const refused = refusal(bytes, query.code)
        expect([refused.length, refused[2]! & 0x80, refused[3]! & 15]).toEqual([12, 0x80, query.code])
        return
      }
      read++
      expect(query.end).toBeLessThanOrEqual(bytes.length)
      for (const addresses of [[], ['127.64.1.2']]) {
        const answer = addressAnswer(withId(bytes, id), query, addresses, 5)
        expect(answers(answer, bytes, query, id)).toBe(true)
        expect(answers(answer, bytes, query, (id + 1) & 0xffff)).toBe(false)
        expect(answer.length).toBe(query.end + 16 * addresses.length)
        expect([...answer.subarray(8, 12)]).toEqual([0, 0, 0, 0])
      }
      expect(answers(bytes, bytes, query, query.id)).toBe(false) // A question answers nothing.
    }),
    { numRuns: 2000 },
  )
  expect(read).toBeGreaterThan(100)
})
