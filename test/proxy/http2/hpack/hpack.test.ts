import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Decoder } from '../../../../proxy/http2/hpack/decoder.ts'
import { Encoder } from '../../../../proxy/http2/hpack/encoder.ts'

const bounds = { maxListBytes: 65_536, maxFields: 200 }
const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const decoded = (decoder: Decoder, block: Uint8Array) => decoder.decode(block, 0, block.length)

function encoded(encoder: Encoder, fields: readonly string[], secret?: readonly string[]): Uint8Array {
  const out = new Uint8Array(Encoder.most(fields))
  return out.subarray(0, encoder.encode(fields, out, 0, secret))
}

/** Blocks of one connection, one after another, with what they say. */
type Sequence = readonly (readonly [block: string, fields: readonly string[]])[]

const get = (...rest: readonly string[]) => [':method', 'GET', ...rest]
const common = (scheme: string, path: string) => [':scheme', scheme, ':path', path, ':authority', 'www.example.com']
const requests = [
  get(...common('http', '/')),
  get(...common('http', '/'), 'cache-control', 'no-cache'),
  get(...common('https', '/index.html'), 'custom-key', 'custom-value'),
]
const asked = (...blocks: readonly string[]): Sequence => blocks.map((block, i) => [block, requests[i]!])
const answer = (status: string, date: string, ...rest: readonly string[]) =>
  [':status', status, 'cache-control', 'private', 'date', `Mon, 21 Oct 2013 20:13:${date} GMT`].concat(rest)
const location = ['location', 'https://www.example.com']
const cookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'

test.each<[name: string, tableBytes: number, sequence: Sequence]>([
  [
    'C.2.1',
    4096,
    [['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', ['custom-key', 'custom-header']]],
  ],
  ['C.2.2', 4096, [['040c 2f73 616d 706c 652f 7061 7468', [':path', '/sample/path']]]],
  ['C.2.3', 4096, [['1008 7061 7373 776f 7264 0673 6563 7265 74', ['password', 'secret']]]],
  ['C.2.4', 4096, [['82', [':method', 'GET']]]],
  [
    'C.3',
    4096,
    asked(
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ),
  ],
  [
    'C.4',
    4096,
    asked(
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ),
  ],
  [
    'C.6, with evictions',
    256,
    [
      [
        `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7
         8f0b 97c8 e9ae 82ae 43d3`,
        answer('302', '21', ...location),
      ],
      ['4883 640e ffc1 c0bf', answer('307', '21', ...location)],
      [
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
        answer('200', '22', ...location, 'content-encoding', 'gzip', 'set-cookie', cookie),
      ],
    ],
  ],
])('appendix %s of RFC 7541 is read', (_, maxTableBytes, sequence) => {
  const decoder = new Decoder({ ...bounds, maxTableBytes })
  const pairs = (fields: readonly string[]) => fields.flatMap((name, i) => (i % 2 ? [] : [`${name}: ${fields[i + 1]}`]))
  for (const [block, fields] of sequence) {
    const list = decoded(decoder, hex(block))
    expect(list?.whole).toBe(true)
    expect(pairs(list!.fields).sort()).toEqual(pairs(fields).sort())
  }
})

test.each([
  ['an index of zero', '80'],
  ['an index of no entry', 'be'],
  ['a name of no entry', '7f00 0161'],
  ['an integer without end', 'ffff ffff ffff ff'],
  ['an integer that breaks off', 'ff'],
  ['a string that breaks off', '4001 61 05 6162'],
  ['a string that is not there', '4001 61'],
  ['padding of zeros', '4001 61 81 18'],
  ['padding of eight ones', '4001 61 82 f8 ff'],
  ['the end of a string in a string', '4001 61 84 ffff ffff'],
  ['a table larger than agreed', '3fe2 1f'],
  ['a new size behind a field', '82 20'],
])('%s is an error of the connection', (_, block) => {
  expect(decoded(new Decoder(bounds), hex(block))).toBeUndefined()
})

test('a string may be padded with seven ones', () => {
  expect(decoded(new Decoder(bounds), hex('4001 61 84 18c6 31ff'))?.fields).toEqual(['a', 'aaaaa'])
})

test('a list beyond its bounds is read to its end, and kept no further', () => {
  const decoder = new Decoder({ maxListBytes: 1000, maxFields: 5 })
  const encoder = new Encoder()
  const many = Array.from({ length: 6 }, (_, i) => [`x-${i}`, 'v']).flat()
  expect(decoded(decoder, encoded(encoder, many))).toMatchObject({ whole: false, fields: many.slice(0, 10) })
  // A reference of one byte to an entry of 400: what a bomb is made of.
  const large = ['x-large', 'v'.repeat(400)]
  expect(decoded(decoder, encoded(encoder, large))?.whole).toBe(true)
  expect(decoded(decoder, encoded(encoder, large))?.whole).toBe(true)
  const bomb = encoded(encoder, Array.from({ length: 4 }, () => large).flat())
  expect(bomb.length).toBe(4)
  expect(decoded(decoder, bomb)).toMatchObject({ whole: false, fields: [...large, ...large] })
  expect(decoded(decoder, encoded(encoder, ['x-a', '1']))).toMatchObject({ whole: true, fields: ['x-a', '1'] })
})

test('what repeats is sent as an index from the third time on, and what is secret never is', () => {
  const encoder = new Encoder()
  const lengths = (fields: readonly string[], secret?: readonly string[]) =>
    [1, 2, 3].map(() => encoded(encoder, fields, secret).length)
  expect(lengths(['x-tenant', 'acme'])).toEqual([15, 15, 1])
  for (const field of [
    ['authorization', 'Bearer abc'],
    ['cookie', 'a=1'],
    ['set-cookie', 'a=1; Secure'],
  ]) {
    const block = encoded(encoder, field)
    expect(block[0]! & 0xf0, field[0]).toBe(16) // Never indexed, whoever else passes it on.
    expect(new Set(lengths(field)).size).toBe(1)
  }
  expect(lengths(['x-key', 'k'], ['x-key'])).toEqual([9, 9, 9])
  expect(lengths(['cookie', `a=${'1'.repeat(40)}`])[2]).toBe(1)
})

test('a field that was never to be indexed is said to be so', () => {
  const list = decoded(new Decoder(bounds), hex('1008 7061 7373 776f 7264 0673 6563 7265 74 82'))
  expect(list).toEqual({ fields: ['password', 'secret', ':method', 'GET'], secret: ['password'], whole: true })
})

test('a smaller table of the peer is said first, and what fell out of it is not referred to', () => {
  const encoder = new Encoder()
  const decoder = new Decoder(bounds)
  const fields = ['x-a', 'one', 'x-b', 'two']
  for (let i = 0; i < 3; i++) encoded(encoder, fields)
  encoder.resize(0)
  encoder.resize(40)
  const block = encoded(encoder, fields)
  expect([...block.subarray(0, 3)]).toEqual([0x20, 0x3f, 9]) // Section 4.2: the smallest, then the last.
  expect(decoded(decoder, block)?.fields).toEqual(fields)
})

const field = fc.oneof(
  // Few of them, so that they repeat and fall out of the table again.
  fc.tuple(fc.constantFrom(':path', 'x-a', 'x-'.padEnd(60, 'l')), fc.constantFrom('/', 'one', 'v'.repeat(400))),
  fc.tuple(fc.constantFrom('cookie', 'authorization'), fc.string({ unit: 'binary-ascii', maxLength: 300 })),
)

test('whatever is encoded is decoded as it was, with tables that change their size on the way', () => {
  const step = fc.record({
    fields: fc.array(field, { maxLength: 12 }).map((list) => list.flat()),
    size: fc.option(fc.integer({ min: 0, max: 6000 }), { freq: 4 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const encoder = new Encoder()
      const decoder = new Decoder(bounds)
      for (const { fields, size } of steps) {
        if (size !== null) encoder.resize(size)
        expect(decoded(decoder, encoded(encoder, fields))?.fields).toEqual(fields)
      }
    }),
  )
})

test('no bytes crash the decoder, and what it keeps stays within its bounds', () => {
  const start = fc.constantFrom('', '82', '4001 61 81 1f', '3fe1 1f')
  fc.assert(
    fc.property(fc.array(fc.tuple(start, fc.uint8Array({ maxLength: 60 })), { maxLength: 5 }), (blocks) => {
      const decoder = new Decoder({ maxListBytes: 500, maxFields: 8 })
      for (const [first, rest] of blocks) {
        const list = decoded(decoder, Buffer.concat([hex(first), rest]))
        if (!list) return
        expect(list.fields.length).toBeLessThanOrEqual(16)
        expect(list.fields.join('').length).toBeLessThanOrEqual(500)
      }
    }),
    { numRuns: 1000 },
  )
})
