import { expect, test } from 'vitest'
import type { RecordedBody } from '../../../audit/replay/body-reads.ts'
import { everything, lacking, nothing, readsOf } from '../../../audit/replay/reads.ts'
import type { Exact } from '../../../core/exact.ts'
import type { RequestHead } from '../../../core/facts.ts'

const http = ['attributes', 'request', 'http']
const head: RequestHead = {
  ...{ method: 'POST', authority: 'orders', path: '/', query: undefined, headers: {} },
  ...{ protocol: 'HTTP/1.1', scheme: 'https' },
}
const shown = (parsed: Exact | undefined, more: Partial<RecordedBody> = {}) => ({
  ...{ head, showsQuery: true },
  body: { parsed, leftOut: [], empty: false, ...more },
})
const reading = (...body: readonly (readonly string[])[]) => ({ ...nothing, body })

test.each([
  [['parsed_body'], [[]], false],
  [['parsed_body', 'from', 'account'], [['from', 'account']], false],
  [['truncated_body'], undefined, false],
  [[...http, 'body'], undefined, true],
  [[...http, 'rawBody'], undefined, true],
  [[...http, 'method'], undefined, false],
  [http, undefined, true],
  [[], [[]], true],
] as const)('reading input.%j reaches of the body %j, and its text: %s', (path, body, bodyText) => {
  const reads = readsOf([path])
  expect(reads.body).toEqual(body)
  expect(reads.bodyText ?? false).toBe(bodyText)
})

test('a member that the record shows is not lacking; one that it does not show is, unless it is known to be kept', () => {
  const reads = reading(['amount'], ['from', 'account'])
  expect(lacking(reads, shown({ amount: 1 }), nothing)).toEqual(['body member from.account'])
  expect(lacking(reads, shown(undefined), nothing)).toEqual(['body member amount', 'body member from.account'])
  expect(lacking(reads, shown(undefined), reading(['amount'], ['from']))).toEqual([])
  expect(lacking(reads, shown(undefined), reading([]))).toEqual([])
  expect(lacking(reads, shown(undefined), reading(['from', 'account', 'iban'], ['amounts']))).toHaveLength(2)
})

test('an object may be a part of what was sent; a list, a text and nothing are whole', () => {
  expect(lacking(reading(['from']), shown({ from: { account: 'a' } }), nothing)).toEqual(['body member from'])
  expect(lacking(reading(['from']), shown({ from: [{ a: 1 }] }), nothing)).toEqual([])
  expect(lacking(reading(['from', 'account']), shown({ from: null }), nothing)).toEqual([])
  expect(lacking(reading([]), shown({}), nothing)).toEqual(['body'])
  expect(lacking(reading([]), shown(null), nothing)).toEqual([])
})

test('what was too long to be kept is lacking, whatever is known to be kept', () => {
  const cut = shown(undefined, { leftOut: [['note']] })
  expect(lacking(reading(['note', 'text']), cut, reading([]))).toEqual(['body member note.text'])
  expect(lacking(reading([]), cut, reading([]))).toEqual(['body'])
  expect(lacking(reading(['amount']), cut, reading([]))).toEqual([])
})

test('a body as it came is kept by no record; without a body, and where no policy sees one, nothing is lacking', () => {
  const text = { ...nothing, bodyText: true }
  expect(lacking(text, shown({}), everything)).toEqual(['body text'])
  expect(lacking(everything, shown(null, { empty: true }), { ...everything, body: [] })).toEqual([])
  expect(lacking(everything, { head, showsQuery: true }, { ...nothing, headers: 'all' })).toEqual([])
})
