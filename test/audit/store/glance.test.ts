import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { leafHash } from '../../../audit/log/merkle.ts'
import { quickSha256 } from '../../../audit/node/quick.ts'
import { readMessage, rowOf } from '../../../audit/store/arrival.ts'
import { glance } from '../../../audit/store/glance.ts'
import { recordRowOf } from '../../../audit/store/row.ts'
import { fromUtf8, toHex, utf8 } from '../../../core/bytes.ts'
import { canonicalJson, type Json } from '../../../core/json.ts'
import { parseEvent } from '../../../core/record.ts'
import { type SpiffeId, trustDomainOf } from '../../../core/spiffe.ts'
import { formatTime, parseTime } from '../../../core/time.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
const epoch = 'ab'.repeat(12)

type Members = { [name: string]: Json }

function decision(seq: number): Members {
  return {
    ...{ v: 1, td: 'bank.example', cluster: 'c1', producer: 'spiffe://bank.example/orders', epoch, seq },
    ...{ prev: 'cd'.repeat(32), timestamp: `2026-11-23T17:04:0${seq % 10}.123456${100 + seq}Z`, kind: 'decision' },
    ...{ decision_id: `${epoch}-${seq}`, direction: seq % 5 === 0 ? 'outbound' : 'inbound', enforced: true },
    ...{ workload: 'spiffe://bank.example/orders', listener: 'http', verdict: 'allow', code: 'allowed', by: 'policy' },
    reasons: seq % 3 === 0 ? ['no', 'not at all'] : [],
    bundles: { bank: { revision: '2026-11-20.3', sha256: '5a'.repeat(32) } },
    ...{
      path: 'writ/authz/result',
      service: 'orders',
      route: 'all',
      request_id: toHex(sha256(utf8(`${seq}`))).slice(32),
    },
    peer: { proof: 'x509', serial: '0a0b', not_before: '2026', not_after: '2027' },
    trace_id: toHex(sha256(utf8(`t${seq}`))).slice(32),
    input: {
      attributes: {
        destination: { address: { socketAddress: { address: '10.0.0.9', portValue: 8443 } } },
        request: { http: { host: 'h.example', method: 'GET', path: `/v1/orders/${seq}` }, time: '2026' },
        source: {
          address: { socketAddress: { address: `10.0.0.${seq % 7}`, portValue: 4000 + seq } },
          principal: 'spiffe://bank.example/web',
        },
      },
    },
  }
}

const paths = [
  ...Object.keys(decision(1)).map((name) => [name]),
  ...[
    ['bundles', 'bank'],
    ['bundles', 'bank', 'revision'],
    ['bundles', '10'],
    ['bundles', '9'],
    ['bundles', '__proto__'],
  ],
  ...[
    ['peer', 'serial'],
    ['reasons', '0'],
    ['input', 'attributes'],
    ['input', 'attributes', 'source'],
  ],
  ...[
    ['input', 'attributes', 'source', 'principal'],
    ['input', 'attributes', 'request', 'http', 'path'],
  ],
  ...[
    ['input', 'attributes', 'request', 'http', 'method'],
    ['input', 'attributes', 'request', 'http', 'host'],
  ],
  ['input', 'attributes', 'source', 'address', 'socketAddress', 'address'],
]
const values: fc.Arbitrary<Json | undefined> = fc.oneof(
  fc.constantFrom<Json | undefined>(
    undefined,
    null,
    0,
    1,
    17,
    -1,
    1.5,
    true,
    '',
    'x',
    'deny',
    'outbound',
    [],
    ['a', 1],
    {},
  ),
  fc.constantFrom<Json>('/a?b=c', '?', 'é', 'a"b', 'a\\b', 'a\u0000b', 'y'.repeat(3000), `/${'z'.repeat(3000)}?q`),
  fc.constantFrom<Json>('2026-02-30T00:00:00.000000000Z', '0000-01-01T00:00:00.000000000Z', 'ef'.repeat(32)),
  fc.constantFrom<Json>(
    '2026-11-23T17:04:61.000000000Z',
    'evil.example',
    'spiffe://bank.example/',
    'start',
    'outcomes',
  ),
  fc.constantFrom<Json>(`${epoch}-01`, `${epoch}-3`, 'AB'.repeat(12), { revision: 'r', sha256: 's' }, { revision: 7 }),
  fc.string({ maxLength: 12 }),
)
const line = fc
  .tuple(fc.integer({ min: 0, max: 40 }), fc.array(fc.tuple(fc.constantFrom(...paths), values), { maxLength: 2 }))
  .map(([seq, changes]) => {
    const record = decision(seq)
    for (const [path, value] of changes) change(record, path, value)
    return utf8(canonicalJson(record))
  })

function change(record: Members, path: readonly string[], value: Json | undefined): void {
  let here: unknown = record
  for (const step of path.slice(0, -1)) here = (here as Members | undefined)?.[step]
  if (typeof here !== 'object' || here === null) return
  const kept = value === undefined && Array.isArray(here) ? null : value
  Object.defineProperty(here, path.at(-1)!, { value: kept, enumerable: true, configurable: true, writable: true })
}

const damaged = fc
  .tuple(
    line,
    fc.array(fc.tuple(fc.nat(), fc.constantFrom(...utf8('{}[]",:\\0189-.tfn \n\t\u007f'))), { maxLength: 2 }),
  )
  .map(([bytes, changes]) => {
    const copy = Uint8Array.from(bytes)
    for (const [at, byte] of changes) copy[at % copy.length] = byte
    return copy
  })

/** The same, line by line and with an object made of each. */
function plainly(value: Uint8Array) {
  const records: object[] = []
  const bad: string[] = []
  let wrong = ''
  for (const text of Buffer.from(value).toString('latin1').split('\n')) {
    const tab = text.indexOf('\t')
    const bytes = Uint8Array.from(Buffer.from(tab < 0 ? text : text.slice(0, tab), 'latin1'))
    const read = parseEvent(bytes)
    const fault = 'wrong' in read ? read.wrong : faultOf(read.event)
    if ('wrong' in read || fault !== undefined) {
      if (bad.push(Buffer.from(bytes).toString('latin1')) === 1) wrong = fault!
      continue
    }
    const hash = leafHash(sha256, bytes)
    const { kind, producer, epoch, seq, prev, timestamp } = read.event
    const beside = tab < 0 ? undefined : text.slice(tab + 1)
    const named = { kind, producer, epoch, seq, prev, timestamp }
    records.push({ named, row: recordRowOf(read.event), bytes: fromUtf8(bytes), hash: toHex(hash), beside })
  }
  return { records, malformed: bad.length === 0 ? undefined : { count: bad.length, wrong, bytes: bad.join('\n') } }
}

function faultOf({
  timestamp,
  td,
  producer,
}: {
  timestamp: string
  td: string
  producer: SpiffeId
}): string | undefined {
  if (formatTime(parseTime(timestamp)!) !== timestamp || timestamp.startsWith('0000')) return 'no such time'
  return td === trustDomainOf(producer) ? undefined : "a trust domain that is not the producer's"
}

let glanced = 0

function arrived(value: Uint8Array) {
  const { records, malformed } = readMessage({ offset: '0', key: 'k', value }, undefined, sha256, quickSha256)
  return {
    records: records.map((record) => {
      const { event, bytes, hash, hashHex, beside } = record
      const { kind, producer, epoch, seq, prev, timestamp } = event
      if (record.row) glanced++
      expect(toHex(hash)).toBe(hashHex)
      return {
        named: { kind, producer, epoch, seq, prev, timestamp },
        row: rowOf(record),
        ...{ bytes: fromUtf8(bytes), hash: hashHex, beside: beside && Buffer.from(beside).toString('latin1') },
      }
    }),
    malformed: malformed && { ...malformed, bytes: Buffer.from(malformed.bytes).toString('latin1') },
  }
}

test('a message becomes the same records, rows and evidence as if each line were parsed', () => {
  const beside = fc.option(fc.constantFrom('key', '', 'a\tb'), { nil: undefined })
  const one = fc.tuple(fc.oneof(line, damaged), beside)
  glanced = 0
  fc.assert(
    fc.property(fc.array(one, { maxLength: 5 }), (lines) => {
      const parts = lines.map(([bytes, more]) =>
        Buffer.concat([bytes, Buffer.from(more === undefined ? '' : `\t${more}`)]),
      )
      const value = Buffer.concat(parts.flatMap((part, i) => (i === 0 ? [part] : [Buffer.from('\n'), part])))
      const before = Buffer.from(value)
      expect(arrived(value)).toEqual(plainly(value))
      expect(value.equals(before)).toBe(true)
    }),
    { numRuns: 600 },
  )
  expect(glanced).toBeGreaterThan(200)
})

test('any bytes are a message', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (value) => {
      expect(arrived(value)).toEqual(plainly(value))
    }),
  )
})

test('a decision in plain letters is seen at a glance, one that escapes something is left to the parser', () => {
  const of = (record: Members) => glance(utf8(canonicalJson(record)), 0, '')
  expect(of(decision(7))).toMatchObject({ event: { seq: 7 }, row: { path: '/v1/orders/7' } })
  expect(of({ ...decision(8), prev: 'ef'.repeat(32) })?.event.prev).toBe('ef'.repeat(32))
  expect(of({ ...decision(7), listener: 'a"b' })).toBeUndefined()
  expect(of({ ...decision(7), td: 123 })).toBeUndefined()
})
