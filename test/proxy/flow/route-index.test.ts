import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RequestHead } from '../../../core/facts.ts'
import type { Route, RouteMatch } from '../../../core/snapshot.ts'
import { matcherOf, parameterOf } from '../../../proxy/flow/match.ts'
import { routesOf } from '../../../proxy/flow/route.ts'
import { routeIndex } from '../../../proxy/flow/route-index.ts'

const head = (path: string, more: Partial<RequestHead> = {}): RequestHead => ({
  ...{ method: 'GET', authority: 'shop', path, query: undefined, headers: {}, protocol: 'HTTP/1.1', scheme: 'http' },
  ...more,
})
const at = (type: RouteMatch['path']['type'], value: string): RouteMatch => ({ path: { type, value } })

test('a pattern fits the whole path, header or parameter, and takes no longer for a path that is made to make it slow', () => {
  expect(matcherOf(at('regex', '/v[0-9]+/x'))(head('/v12/x'))).toBe(true)
  expect(matcherOf(at('regex', '/v[0-9]+/x'))(head('/v12/xy'))).toBe(false)
  expect(matcherOf(at('regex', '/(a+)+b'))(head(`/${'a'.repeat(8000)}c`))).toBe(false)
  expect(matcherOf(at('regex', '.*'))(head(`/${'a'.repeat(9000)}`))).toBe(false)
  const both: RouteMatch = { ...at('prefix', '/'), headerPatterns: { 'x-a': 'a+' }, queryPatterns: { q: '[0-9]+' } }
  const accepts = matcherOf(both)
  expect(accepts(head('/', { headers: { 'x-a': 'aa' }, query: 'q=7' }))).toBe(true)
  expect(accepts(head('/', { headers: { 'x-a': 'ab' }, query: 'q=7' }))).toBe(false)
  expect(accepts(head('/', { headers: { 'x-a': 'aa' }, query: 'q=7x' }))).toBe(false)
  expect(accepts(head('/'))).toBe(false)
})

test('of a repeated parameter the first counts, escapes are decoded once, and a plus sign is one', () => {
  expect(parameterOf('a=1&a=2', 'a')).toBe('1')
  expect(parameterOf('%61=b%20c%2520', 'a')).toBe('b c%20')
  expect(parameterOf('a=b+c', 'a')).toBe('b+c')
  expect(parameterOf('x&a', 'a')).toBe('')
  expect(parameterOf('', 'a')).toBeUndefined()
  expect(parameterOf('toString=1', 'constructor')).toBeUndefined()
})

test('whatever the routes and their order, the index finds the one that a search in order finds', () => {
  const path = fc.array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 4 }).map((steps) => `/${steps.join('/')}`)
  const slashed = fc.tuple(path, fc.boolean()).map(([text, more]) => (more && text !== '/' ? `${text}/` : text))
  const match: fc.Arbitrary<RouteMatch> = fc.record(
    {
      path: fc.oneof(
        fc.record({ type: fc.constantFrom('exact' as const, 'prefix' as const), value: slashed }),
        fc.record({ type: fc.constant('regex' as const), value: fc.constantFrom('/a.*', '/[ab]', '.*b', '/') }),
      ),
      method: fc.constantFrom('GET', 'POST'),
      query: fc.constant({ q: '1' }),
    },
    { requiredKeys: ['path'] },
  )
  fc.assert(
    fc.property(
      fc.array(match, { maxLength: 12 }),
      slashed,
      fc.constantFrom('GET', 'POST'),
      fc.boolean(),
      (all, asked, method, query) => {
        const items = all.map((match, index) => ({ match, index }))
        const request = head(asked, { method, query: query ? 'q=1' : undefined })
        const first = items.find(({ match }) => matcherOf(match)(request))
        expect(routeIndex(items)(request)?.index).toBe(first?.index)
      },
    ),
    { numRuns: 2000 },
  )
})

const route = (name: string, hosts: readonly string[], match: RouteMatch, more: Partial<Route> = {}): Route => ({
  ...{ name, hosts, match, backends: [{ service: 'one', weight: 1 }], timeoutMs: 1000 },
  ...more,
})
const services = ['one', 'two'].map((name, index) => ({
  ...{ name, hosts: [name], endpoints: [{ address: '127.0.0.1', port: index + 1, identity: undefined }] },
}))

test('a host goes before a wildcard, and the longer wildcard before the shorter; what a host’s routes decline is the wildcard’s', () => {
  const find = routesOf(
    {
      services,
      routes: [
        route('wide', ['*.shop.example'], at('prefix', '/')),
        route('wider', ['*.example'], at('prefix', '/')),
        route('own', ['a.shop.example'], at('prefix', '/own')),
      ],
    },
    () => 0,
  )
  const to = (authority: string, path = '/') => find(head(path, { authority }))?.route
  expect(to('a.shop.example:80', '/own')).toBe('own')
  expect(to('a.shop.example', '/')).toBe('wide')
  expect(to('x.y.shop.example')).toBe('wide')
  expect(to('shop.example')).toBe('wider')
  expect(to('example')).toBeUndefined()
  expect(to('xshop.example')).toBe('wider')
})

test('a key stays at its backend, and one whose weight grows takes keys over and gives none away', () => {
  const backends = (two: number) => [
    { service: 'one', weight: 100 - two },
    { service: 'two', weight: two },
  ]
  const sticky = { kind: 'header', name: 'x-user' } as const
  const find = (two: number) =>
    routesOf(
      { services, routes: [route('r/x/0', ['shop'], at('prefix', '/'), { sticky, backends: backends(two) })] },
      Math.random,
    )
  const of = (two: number) => {
    const found = find(two)
    return Array.from({ length: 1000 }, (_, user) => found(head('/', { headers: { 'x-user': `u${user}` } }))?.service)
  }
  const [ten, thirty] = [of(10), of(30)]
  expect(of(10)).toEqual(ten)
  const share = (all: readonly unknown[]) => all.filter((service) => service === 'two').length
  expect(share(ten)).toBeGreaterThan(60)
  expect(share(ten)).toBeLessThan(150)
  // The first backend gives keys to the second; nobody goes back.
  expect(ten.every((service, user) => service === 'one' || thirty[user] === 'two')).toBe(true)
  expect(share(thirty)).toBeGreaterThan(share(ten))
})
