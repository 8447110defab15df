import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readExact } from '../../core/exact.ts'
import type { RequestBody } from '../../core/facts.ts'
import { bodyText, httpBody, httpBodyText, maxRecordedBody, recordedBody } from '../../core/input-body.ts'
import { canonicalJson } from '../../core/json.ts'

function bodyOf(json: string, more: Partial<RequestBody> = {}): RequestBody {
  const read = readExact(json)
  if (!read.ok) throw new Error(read.wrong)
  return { parsed: read.value, text: json, truncated: false, size: json.length, ...more }
}

test('a policy reads each number with the value that it was sent with', () => {
  const text = bodyText(bodyOf('{"amount": 9007199254740993, "rate": 0.1}'))
  expect(text).toBe(',"parsed_body":{"amount":9007199254740993,"rate":0.1},"truncated_body":false')
})

test('the body is text, or base64 where it is none, or absent where it is empty; its size is text as in protojson', () => {
  expect(httpBody(bodyOf('[1]'))).toEqual({ body: '[1]', size: '3' })
  expect(httpBodyText(bodyOf('[1]'))).toBe(',"body":"[1]","size":"3"')
  const raw: RequestBody = { parsed: null, text: undefined, raw: '/w==', truncated: true, size: -1 }
  expect(httpBody(raw)).toEqual({ rawBody: '/w==', size: '-1' })
  expect(httpBody({ parsed: null, text: '', truncated: false, size: 0 })).toEqual({})
})

test('a record keeps the named members and no other', () => {
  const body = bodyOf('{"from":{"account":"a","pin":"1234"},"amount":5,"card":"4111"}')
  expect(recordedBody(body, [])).toEqual({ truncated_body: false })
  expect(recordedBody(body, [['amount'], ['from', 'account'], ['to']])).toEqual({
    parsed_body: { amount: 5, from: { account: 'a' } },
    truncated_body: false,
  })
  expect(recordedBody(body, [['from', 'pin'], ['from']])).toMatchObject({ parsed_body: { from: { pin: '1234' } } })
  expect(recordedBody(body, [[]])).toMatchObject({ parsed_body: { card: '4111' } })
})

test('what was not parsed is recorded as null; what was parsed and holds none of the names is not recorded', () => {
  expect(recordedBody(bodyOf('null'), [['a']])).toEqual({ parsed_body: null, truncated_body: false })
  expect(recordedBody(bodyOf('[1]'), [['a']])).toEqual({ truncated_body: false })
})

test('a number that would be rounded is kept as text, and nothing else is', () => {
  const paths = [['amount'], ['note']]
  expect(recordedBody(bodyOf('{"amount":9007199254740993,"note":"n"}'), paths)).toEqual({
    parsed_body_text: '{"amount":9007199254740993,"note":"n"}',
    truncated_body: false,
  })
  expect(recordedBody(bodyOf('{"amount":1,"note":"n","x":9007199254740993}'), paths)).toHaveProperty('parsed_body')
})

test('a member that is too long or too deep is left out and named, and takes no other with it', () => {
  const long = bodyOf(`{"a":1,"b":"${'x'.repeat(3000)}","c":${'['.repeat(20)}${']'.repeat(20)}}`)
  expect(recordedBody(long, [['b'], ['c'], ['a']])).toEqual({
    parsed_body: { a: 1 },
    parsed_body_left_out: [['b'], ['c']],
    truncated_body: false,
  })
})

test('what is kept never grows with the body', () => {
  const names = Array.from({ length: 12 }, (_, i) => [`m${i}`])
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 4000, unit: 'binary' }), { maxLength: 12 }), (values) => {
      const parsed = Object.fromEntries(values.map((value, i) => [`m${i}`, value]))
      const kept = recordedBody({ parsed, text: undefined, truncated: false, size: -1 }, names)
      expect(canonicalJson(kept).length).toBeLessThan(maxRecordedBody + 1000)
    }),
  )
})

test('members named __proto__ are kept like any other', () => {
  const kept = recordedBody(bodyOf('{"__proto__":{"a":1}}'), [['__proto__', 'a']])
  expect(canonicalJson(kept)).toBe('{"parsed_body":{"__proto__":{"a":1}},"truncated_body":false}')
})
