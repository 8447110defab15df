import {
  anything,
  array,
  assert,
  boolean,
  constantFrom,
  dictionary,
  jsonValue,
  nat,
  oneof,
  option,
  property,
  record,
  sample,
  string,
} from 'fast-check'
import { expect, test } from 'vitest'
import { eventText } from '../../../audit/stream/event-text.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import { constantJson } from '../../../core/json.ts'
import { type AuditEvent, type Envelope, type EventBody, encodeEvent, newEpoch, noHash } from '../../../core/record.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../../core/spiffe.ts'

const envelope: Envelope = {
  v: 1,
  td: parseTrustDomain('bank.example')!,
  cluster: 'l"b',
  producer: parseSpiffeId('spiffe://bank.example/orders')!,
  epoch: newEpoch(() => new Uint8Array(12)),
  seq: 17,
  prev: noHash,
  timestamp: '2026-11-23T17:04:09.123456789Z',
}
const decision_id = `${envelope.epoch}-17`

const byTheBook = (body: EventBody): string =>
  fromUtf8(encodeEvent({ ...body, ...envelope, ...(body.kind === 'decision' && { decision_id }) } as AuditEvent))

const word = string({ unit: 'grapheme' })
const json = jsonValue({ stringUnit: 'grapheme' })
const some = <T>(value: T) => option(value as never, { nil: undefined })
const must = {
  kind: constantFrom('decision'),
  direction: word,
  workload: word,
  listener: word,
  verdict: word,
  code: word,
  by: word,
  enforced: json,
  reasons: array(word),
  input: json,
  request_id: word,
}
const may = {
  bundles: some(dictionary(word, json)),
  path: some(word),
  peer: some(dictionary(word, word)),
  service: some(word),
  route: some(word),
  trace_id: some(word),
  trial: some(dictionary(word, word)),
}

const bodies = record({ ...must, ...may }, { requiredKeys: Object.keys(must) as (keyof typeof must)[] })

test('any decision is written byte for byte as encodeEvent writes it', () => {
  assert(
    property(bodies, (body) => {
      expect(eventText(envelope, body as never)).toBe(byTheBook(body as never))
    }),
  )
})

test('so are all decisions of a connection, whatever changes from one to the next', () => {
  const peers = [{ proof: 'x509' }, { proof: 'x509', serial: '"1"' }].map(constantJson)
  const bundles = [{ bank: { revision: '1' } }, { bank: { revision: '2' } }].map(constantJson)
  const alike = (...of: readonly string[]) => constantFrom(...of)
  const likely = record(
    {
      ...{ kind: alike('decision'), direction: alike('inbound', 'outbound'), workload: alike('a', 'b') },
      ...{ listener: alike('c', 'd'), verdict: alike('allow', 'deny'), code: alike('e', 'f'), by: alike('g') },
      ...{ enforced: boolean(), reasons: array(word, { maxLength: 1 }), input: json, request_id: word },
      ...{ peer: constantFrom(...peers), bundles: constantFrom(...bundles), path: alike('h', 'i') },
      ...{ service: alike('j', 'k'), route: alike('l', 'm'), trace_id: alike('n', 'o') },
      trial: constantFrom({ name: 'p', mode: 'canary' }, { name: 'p', mode: 'shadow', of: 'q' }),
    },
    { requiredKeys: [...(Object.keys(must) as (keyof typeof must)[]), 'peer'] },
  )
  assert(
    property(array(likely, { maxLength: 30 }), array(nat(3)), (several, producers) => {
      for (const [i, body] of several.entries()) {
        const from = { ...envelope, seq: i, producer: `spiffe://bank.example/${producers[i] ?? 0}` as SpiffeId }
        const decision_id = `${from.epoch}-${i}`
        const expected = fromUtf8(encodeEvent({ ...body, ...from, decision_id } as unknown as AuditEvent))
        expect(eventText(from, body as never)).toBe(expected)
      }
    }),
  )
})

test('a peer that can still change is not remembered', () => {
  const body = { ...sample(bodies, 1)[0]!, peer: { serial: '1' } }
  expect(eventText(envelope, body as never)).toBe(byTheBook(body as never))
  body.peer.serial = '2'
  expect(eventText(envelope, body as never)).toBe(byTheBook(body as never))
})

test('outcomes are written as encodeEvent writes them, odd ones too', () => {
  const number = oneof(nat(), constantFrom(-0, 1.5, 1e21, Number.MAX_SAFE_INTEGER))
  const counts = { duration_us: number, request_bytes: number, response_bytes: number, seq: number, status: number }
  const item = record({ code: word, upstream: word, ...counts, more: some(word) })
  const odd = oneof(item, constantFrom(null, 1, {}, { code: 1 }))
  assert(
    property(array(oneof(item, odd)), option(word, { nil: undefined }), (outcomes, more) => {
      const body = { kind: 'outcomes', outcomes, ...(more !== undefined && { more }) } as never
      expect(eventText(envelope, body)).toBe(byTheBook(body))
    }),
  )
})

test('so is a body that is not what its type says: a member too many, too few, or of another kind', () => {
  const odd = dictionary(
    constantFrom(...Object.keys({ ...must, ...may }), 'seq', 'prev', 'decision_id', 'extra', '__proto__'),
    anything(),
  )
  assert(
    property(odd, constantFrom('decision', 'outcomes', 'head'), (given, kind) => {
      const body = { ...given, kind } as never
      let expected: string
      try {
        expected = byTheBook(body)
      } catch {
        expect(() => eventText(envelope, body)).toThrow()
        return
      }
      expect(eventText(envelope, body)).toBe(expected)
    }),
  )
})
