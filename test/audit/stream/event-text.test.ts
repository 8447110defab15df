import {
  anything,
  array,
  assert,
  constantFrom,
  dictionary,
  jsonValue,
  option,
  property,
  record,
  string,
} from 'fast-check'
import { expect, test } from 'vitest'
import { eventText } from '../../../audit/stream/event-text.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import { type AuditEvent, type Envelope, type EventBody, encodeEvent, newEpoch, noHash } from '../../../core/record.ts'
import { parseSpiffeId, parseTrustDomain } from '../../../core/spiffe.ts'

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
}

test('any decision is written byte for byte as encodeEvent writes it', () => {
  const bodies = record({ ...must, ...may }, { requiredKeys: Object.keys(must) as (keyof typeof must)[] })
  assert(
    property(bodies, (body) => {
      expect(eventText(envelope, body as never)).toBe(byTheBook(body as never))
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
