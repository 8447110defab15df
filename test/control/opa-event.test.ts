import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newProducer, seal, sealStart } from '../../audit/stream/producer.ts'
import { bodyOf, malformedBody, readOpaEvent, splitArray } from '../../control/opa-event.ts'
import { utf8 } from '../../core/bytes.ts'
import { type Epoch, type OpaDecisionBody, parseEvent } from '../../core/record.ts'
import type { SpiffeId, TrustDomain } from '../../core/spiffe.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
const workload = 'spiffe://bank.example/opa/orders' as SpiffeId
const event = { decision_id: '4ca6', timestamp: '2026-11-23T10:00:00.123456789Z', labels: { id: 'a' }, path: 'x/allow' }

function read(text: string): OpaDecisionBody {
  const found = readOpaEvent(text)
  if (!found.ok) throw new Error(found.why)
  return bodyOf(workload, found.event, sha256)
}

/** As the log would hold it, or an error where it could not. */
function leafOf(body: OpaDecisionBody): OpaDecisionBody {
  const id = 'spiffe://bank.example/writ/control' as SpiffeId
  const td = 'bank.example' as TrustDomain
  const started = sealStart(
    newProducer({ td, cluster: 'c'.repeat(253), id, epoch: 'ab'.repeat(12) as Epoch }, 0n),
    { software: 'writ', previous: undefined, chain: [] },
    0n,
    sha256,
  )
  const { leaf } = seal(started.producer, body, 0n, sha256).records[0]!
  const found = parseEvent(leaf.subarray(1))
  if ('wrong' in found) throw new Error(found.wrong)
  return found.event as unknown as OpaDecisionBody
}

const spaces = fc.stringMatching(/^[ \t\r\n]{0,3}$/)

test('an array is split into its items as they are written, whatever they hold and whatever space is around', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(spaces, fc.json(), spaces)), spaces, spaces, (items, before, after) => {
      const written = items.map((parts) => parts.join(''))
      expect(splitArray(`${before}[${written.join(',')}]${after}`)).toEqual({ ok: true, items: written })
    }),
  )
})

test('any text is split or refused, and what is JSON is split as JSON has it', () => {
  const noise = fc.string({ unit: fc.constantFrom(...'[]{},:"\\ 1au\n'), maxLength: 40 })
  fc.assert(
    fc.property(
      fc.oneof(
        noise,
        noise.map((text) => `[${text}]`),
        fc.json(),
        fc.string(),
      ),
      (text) => {
        const split = splitArray(text)
        let value: unknown
        try {
          value = JSON.parse(text)
        } catch {
          return
        }
        if (!Array.isArray(value)) expect(split.ok).toBe(false)
        else expect(split.ok && split.items.map((item) => JSON.parse(item) as unknown)).toEqual(value)
      },
    ),
    { numRuns: 2000 },
  )
})

test.each([
  ['', 'it is no JSON array'],
  ['{}', 'it is no JSON array'],
  ['[{"a":"]"}', 'the JSON array does not end'],
  ['["a', 'the JSON array does not end'],
  ['["\\"]', 'the JSON array does not end'],
  ['[1}', 'the JSON array does not end'],
  ['[1]]', 'something follows the JSON array'],
  ['[1] [2]', 'something follows the JSON array'],
])('%j is refused whole: %s', (text, why) => {
  expect(splitArray(text)).toEqual({ ok: false, why })
})

test('an item that is not JSON spoils no other', () => {
  const split = splitArray(`[${JSON.stringify(event)}, {"a" 1}, tru, , ${JSON.stringify(event)}]`)
  expect(split.ok && split.items.map((item) => readOpaEvent(item).ok)).toEqual([true, false, false, false, true])
})

const json = fc.jsonValue({ maxDepth: 5 })
const events = fc.record(
  { input: json, result: json, labels: json, metrics: json, erased: json, masked: json, requested_by: json },
  { requiredKeys: [] },
)

test('an event is kept member for member as it was sent', () => {
  fc.assert(
    fc.property(events, (more) => {
      const sent = JSON.parse(JSON.stringify({ ...event, ...more })) as object
      expect(leafOf(read(JSON.stringify(sent)))).toMatchObject({ kind: 'opa_decision', workload, event: sent })
      expect(read(JSON.stringify(sent))).not.toHaveProperty('kept_as')
    }),
  )
})

test('a number that JavaScript would round is kept as the text it was sent as, and one that it would not as a number', () => {
  const text = JSON.stringify({ ...event, input: { n: 0 }, result: { n: 9007199254740992 } })
  const body = read(text.replace('{"n":0}', '{"n": 9007199254740993, "s": 1.50}'))
  expect(body.event).toMatchObject({ input: '{"n":9007199254740993,"s":1.5}', result: { n: 9007199254740992 } })
  expect(body.kept_as).toEqual({ input: 'text' })
})

test('what is too long for a leaf is kept as a digest with its length, the longest first, and the rest as it is', () => {
  const input = { text: 'x'.repeat(50_000) }
  const fits = leafOf(read(JSON.stringify({ ...event, input, result: 'y'.repeat(5000) })))
  expect(fits).not.toHaveProperty('kept_as')
  const long = leafOf(read(JSON.stringify({ ...event, input, result: 'y'.repeat(7000) })))
  const bytes = utf8(JSON.stringify(input))
  expect(long.kept_as).toEqual({ input: 'digest' })
  expect(long.event).toEqual({
    ...event,
    input: { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length },
    result: 'y'.repeat(7000),
  })
})

test('every event that is read fits into a leaf, however long its members and names are', () => {
  const size = fc.oneof(fc.nat(200), fc.nat(3000), fc.nat(70_000))
  const member = fc.tuple(
    fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/),
    size,
    fc.constantFrom('x', '"', '\n', 'é', '\u0001', '😀'),
  )
  fc.assert(
    fc.property(fc.array(member, { maxLength: 62 }), fc.stringMatching(/^[\u0001-\u0020]{1,256}$/), (members, id) => {
      const more = Object.fromEntries(members.map(([name, length, char]) => [name, char.repeat(length)]))
      const sent = { ...more, ...event, decision_id: id }
      expect(leafOf(read(JSON.stringify(sent))).event).toMatchObject({ decision_id: id })
    }),
    { numRuns: 60 },
  )
  const worst = Object.fromEntries(Array.from({ length: 62 }, (_, i) => [`${i}`.padStart(64, '_'), 'x'.repeat(1100)]))
  expect(
    Object.keys(leafOf(read(JSON.stringify({ ...worst, decision_id: 'd', timestamp: event.timestamp }))).event!),
  ).toHaveLength(64)
})

const without = (name: keyof typeof event): string => JSON.stringify({ ...event, [name]: undefined })

test.each([
  ['a list', '[]', 'it is no object'],
  ['half an object', '{', 'text that is no JSON'],
  ['one name twice', '{"decision_id":"a","decision_id":"b"}', 'a JSON object that has one name twice'],
  ['no id', without('decision_id'), 'it has no decision_id'],
  ['a long id', JSON.stringify({ ...event, decision_id: 'x'.repeat(257) }), 'it has no decision_id'],
  ['no time', without('timestamp'), 'it has no timestamp of RFC 3339'],
  ['another time', JSON.stringify({ ...event, timestamp: 'yesterday' }), 'it has no timestamp of RFC 3339'],
  ['an odd name', JSON.stringify({ ...event, 'a b': 1 }), 'it has a member of an odd name'],
  ['half a character', JSON.stringify({ ...event, input: '\ud800' }), 'a JSON text with half a character'],
  [
    'a tower',
    JSON.stringify(event).replace('"a"', '['.repeat(9999) + ']'.repeat(9999)),
    'JSON that is nested too deeply',
  ],
  [
    'a crowd',
    JSON.stringify(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`m${i}`, 1]))),
    'it has more than 64 members',
  ],
])('%s is no event', (_, text, why) => {
  expect(readOpaEvent(text)).toEqual({ ok: false, why })
})

test('without what only some OPAs send it is an event still', () => {
  expect(readOpaEvent(without('labels')).ok && readOpaEvent(without('path')).ok).toBe(true)
  expect(readOpaEvent(JSON.stringify({ ...event, timestamp: '2026-11-23T10:00:00+01:00' })).ok).toBe(true)
})

test('what is no event fits into a leaf too, and is told by its digest where it is cut', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.nat(60), (text, times) => {
      const whole = text.repeat(times).toWellFormed()
      const { malformed } = leafOf(malformedBody(workload, whole, 'it is no object', sha256))
      expect(malformed).toMatchObject({
        sha256: createHash('sha256').update(utf8(whole)).digest('hex'),
        bytes: utf8(whole).length,
      })
      if (whole.length <= 8192) expect(malformed?.text).toBe(whole)
    }),
    { numRuns: 50 },
  )
})
