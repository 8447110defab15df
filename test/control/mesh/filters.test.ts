import { expect, test } from 'vitest'
import { checkSnapshot, nameSnapshot } from '../../../control/mesh/name.ts'
import type { Problem } from '../../../control/mesh/problem.ts'
import type { RouteFilters } from '../../../core/filters.ts'
import { bound, meshWith, own, problemsOf, route, served, sha256, snapshotOf } from '../world.ts'

const shop = served('shop', 9001, ', outbound: {port: 9100}')
const copies = served('copies', 9002)
const toShop = 'parentRefs: [{group: "", kind: Service, name: shop}]'
const backends = ', backendRefs: [{name: shop}]'
const ways = (filters: string, { match = '{}', more = backends } = {}) =>
  route('ways', `{${toShop}, rules: [{name: one, matches: [${match}], filters: [${filters}]${more}}]}`)
const mesh = (...more: readonly string[]) => meshWith(shop, copies, bound('shop', 'copies'), ...more)
const filtersOf = (...more: readonly string[]) =>
  snapshotOf(mesh(...more)).routes.find(({ name }) => name.startsWith('ways'))!.filters
const told = (problems: readonly Problem[]) =>
  problems.flatMap(({ level, field, problem }) => (level === 'error' ? `${field}: ${problem}` : [])).join('\n')
const wrong = (...more: readonly string[]) => told(problemsOf(mesh(...more)))
const own1 = (spec: string, name = 'chaos') => own('RouteFilter', name, `{${spec}}`)
const extension = '{type: ExtensionRef, extensionRef: {group: writ.dev, kind: RouteFilter, name: chaos}}'

test('filters of Gateway API, in their own words', () => {
  const given = [
    '{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: a}], add: [{name: X-B, value: b}], remove: [X-C]}}',
    '{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-D, value: ""}]}}',
    '{type: URLRewrite, urlRewrite: {hostname: other.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}',
    '{type: RequestMirror, requestMirror: {backendRef: {name: copies}, percent: 25}}',
    '{type: RequestMirror, requestMirror: {backendRef: {name: shop}, fraction: {numerator: 1, denominator: 1000}}}',
    '{type: CORS, cors: {allowOrigins: ["https://*.shop.example"], allowMethods: [GET], allowHeaders: [X-A], allowCredentials: true}}',
  ].join(', ')
  const snapshot = snapshotOf(mesh(ways(given)))
  const wanted: RouteFilters = {
    request: { set: { 'x-a': 'a' }, add: { 'x-b': 'b' }, remove: ['x-c'] },
    response: { set: { 'x-d': '' } },
    rewrite: { host: 'other.example', path: { type: 'prefix', value: '/v2' } },
    mirrors: [
      { service: 'copies', share: 0.25 },
      { service: 'shop', share: 0.001 },
    ],
    cors: {
      ...{ origins: ['https://*.shop.example'], methods: ['GET'], headers: ['x-a'], expose: [] },
      ...{ credentials: true, maxAgeS: 5 },
    },
  }
  expect(snapshot.routes.find(({ name }) => name === 'ways/one/0')!.filters).toEqual(wanted)
  expect(checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256)).toEqual(snapshot)
})

test('a redirect and a direct answer need no backend, and may have none', () => {
  const redirect = '{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}'
  expect(filtersOf(ways(redirect, { more: '' }))).toEqual({ redirect: { scheme: 'https', status: 301 } })
  expect(wrong(ways(redirect))).toMatch(/backendRefs: are never asked/)
  expect(wrong(ways('', { more: '' }))).toMatch(/rules\[0\]: has no backendRefs/)
  const answer = own1('directResponse: {status: 410, body: gone}')
  expect(filtersOf(ways(extension, { more: '' }), answer)).toEqual({
    answer: { status: 410, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: 'gone' },
  })
})

test('faults and transformations are a RouteFilter that a rule names', () => {
  const spec =
    'fault: {delay: {fixed: 2s, percent: 50}, abort: {status: 503, grpcStatus: 4, percent: 10}, header: {name: X-Chaos}}, transform: {request: {a: null}, response: {b: [1]}}'
  expect(filtersOf(ways(extension), own1(spec))).toEqual({
    inject: {
      delay: { ms: 2000, share: 0.5 },
      abort: { status: 503, grpcStatus: 4, share: 0.1 },
      header: { name: 'x-chaos' },
    },
    transform: { request: { a: null }, response: { b: [1] }, maxBytes: 1_048_576 },
  })
  expect(wrong(ways(extension))).toMatch(/extensionRef.name: there is no RouteFilter chaos/)
  expect(wrong(own1(''))).toMatch(/says nothing/)
  expect(wrong(own1('fault: {header: {name: x}}'))).toMatch(/injects nothing/)
  expect(wrong(own1('fault: {delay: {fixed: 2m}}'))).toMatch(/fixed: is not 1ms to 1m/)
})

test.each([
  ...[
    'Host',
    'Content-Length',
    'transfer_encoding',
    'Connection',
    'TE',
    'X-Forwarded-Client-Cert',
    'x_forwarded_client_cert',
  ],
  ...['X-Writ-Decision', 'x-request-id', 'Upgrade', 'Expect', 'Proxy-Authorization'],
])('no filter touches %s, in a mesh file or in a snapshot', (name) => {
  for (const change of [`set: [{name: ${name}, value: a}]`, `add: [{name: ${name}, value: a}]`, `remove: [${name}]`]) {
    for (const [type, member] of [
      ['RequestHeaderModifier', 'requestHeaderModifier'],
      ['ResponseHeaderModifier', 'responseHeaderModifier'],
    ]) {
      expect(wrong(ways(`{type: ${type}, ${member}: {${change}}}`))).toMatch(/written by the proxy alone/)
    }
  }
  const { name: _, ...snapshot } = snapshotOf(mesh(ways('')))
  const routes = snapshot.routes.map((one) => ({
    ...one,
    filters: { request: { set: { [name.toLowerCase()]: 'a' } } },
  }))
  expect(() => checkSnapshot(nameSnapshot({ ...snapshot, routes }, sha256), sha256)).toThrow(/not a snapshot/)
})

test('what contradicts itself is an error where it stands', () => {
  const rewrite = (path: string) => `{type: URLRewrite, urlRewrite: {path: ${path}}}`
  const prefix = rewrite('{type: ReplacePrefixMatch, replacePrefixMatch: /b}')
  expect(wrong(ways(prefix, { match: '{path: {type: Exact, value: /a}}' }))).toMatch(/filters: replace a prefix/)
  expect(wrong(ways(rewrite('{type: ReplaceFullPath, replaceFullPath: /a/../b}')))).toMatch(/replaceFullPath: .*step/)
  expect(wrong(ways(`${prefix}, ${prefix}`))).toMatch(/URLRewrite is there twice/)
  const redirect = '{type: RequestRedirect, requestRedirect: {hostname: a}}'
  expect(wrong(ways(`${redirect}, ${prefix}`, { more: '' }))).toMatch(/rewrite and redirect/)
  const modify = '{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], remove: [A]}}'
  expect(wrong(ways(modify))).toMatch(/remove\[0\]: a is changed twice/)
  expect(wrong(ways('{type: RequestMirror, requestMirror: {backendRef: {name: nobody}}}'))).toMatch(/no Service nobody/)
  expect(wrong(ways('{type: CORS, cors: {allowOrigins: ["https://Shop.example/"]}}'))).toMatch(/no origin/)
  expect(wrong(ways('{type: Cors}'))).toMatch(/is none of RequestHeaderModifier/)
})

test('a route whose requests arrive changed cannot be bound, and keeps no others from a broader one', () => {
  const given = '{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /b}}}'
  const target = '{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ways}'
  const binding = own('PolicyBinding', 'of-ways', `{targetRefs: [${target}], bundle: bank, entrypoint: a/b}`)
  expect(wrong(ways(given), binding)).toMatch(/arrive changed by its own filters/)
  const told = '{headers: [{name: x-a, value: b}]}'
  const modify = '{type: RequestHeaderModifier, requestHeaderModifier: {remove: [X-A]}}'
  expect(wrong(ways(modify, { match: told }), binding)).toMatch(/arrive changed/)
  expect(wrong(ways(modify), binding)).toBe('')
})
