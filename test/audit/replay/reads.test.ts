import { expect, test } from 'vitest'
import { everything, lacking, nothing, readsOf } from '../../../audit/replay/reads.ts'
import { pathShape } from '../../../audit/replay/shape.ts'
import type { RequestHead } from '../../../core/facts.ts'

const http = ['attributes', 'request', 'http']
const head: RequestHead = {
  method: 'GET',
  authority: 'orders',
  path: '/',
  query: undefined,
  headers: { 'x-role': 'clerk' },
  protocol: 'HTTP/1.1',
  scheme: 'https',
}

test.each([
  [['parsed_path'], false, []],
  [['parsed_query', 'page'], true, []],
  [[...http, 'method'], false, []],
  [[...http, 'path'], true, []],
  [[...http, 'query'], true, []],
  [[...http, 'headers', ':path'], true, []],
  [[...http, 'headers', ':method'], false, []],
  [[...http, 'headers', 'x-role'], false, ['x-role']],
  [[...http, 'headers'], true, 'all'],
  [http, true, 'all'],
  [['attributes'], true, 'all'],
  [['attributes', 'source'], false, []],
  [[], true, 'all'],
] as const)('reading input.%j reaches the query: %s, and headers: %j', (path, query, headers) => {
  const reads = readsOf([path])
  expect(reads.query).toBe(query)
  expect(reads.headers === 'all' ? 'all' : [...reads.headers]).toEqual(headers)
})

test('what the record shows is not lacking; what it does not show is, unless it is known to be kept', () => {
  const shown = { head, showsQuery: true }
  const bare = { head: { ...head, headers: {} }, showsQuery: false }
  const named = { query: true, headers: new Set(['x-role', 'x-two']) }
  expect(lacking(named, shown, nothing)).toEqual(['header x-two'])
  expect(lacking(named, bare, nothing)).toEqual(['query', 'header x-role', 'header x-two'])
  expect(lacking(named, bare, { query: true, headers: new Set(['x-two']) })).toEqual(['header x-role'])
  expect(lacking(everything, shown, { query: true, headers: new Set(['x-role']) })).toEqual(['headers'])
  expect(lacking(everything, bare, everything)).toEqual([])
  expect(lacking(nothing, bare, nothing)).toEqual([])
})

test('a request whose head nobody could read lacks nothing of it', () => {
  expect(lacking(everything, { head: undefined, showsQuery: false }, nothing)).toEqual([])
})

test.each([
  ['/orders/17', '/orders/{}'],
  ['/orders', '/orders'],
  ['/v1/accounts/de-1/transfers', '/v1/accounts/{}/transfers'],
  ['/oauth2/9f1c2a3b', '/oauth2/{}'],
  ['/a%20b/c', '/{}/c'],
  [`/${'a'.repeat(41)}`, '/{}'],
  ['/', '/'],
  ['*', '*'],
  [`${'/a'.repeat(13)}`, `${'/a'.repeat(12)}/…`],
])('the shape of %s is %s', (path, shape) => {
  expect(pathShape(path)).toBe(shape)
})
