import { expect, test } from 'vitest'
import type { RequestHead } from '../../../core/facts.ts'
import type { MeshSnapshot, Route, Service } from '../../../core/snapshot.ts'
import { appRoute, routesOf } from '../../../proxy/flow/route.ts'

const service = (name: string, ports: readonly number[] = [1], hosts: readonly string[] = []): Service => ({
  name,
  hosts,
  endpoints: ports.map((port) => ({ address: '127.0.0.1', port, identity: undefined })),
})
const route = (
  name: string,
  match: Route['match'],
  backends: Route['backends'] = [{ service: name, weight: 1 }],
): Route => ({
  name,
  hosts: ['shop'],
  match,
  backends,
  timeoutMs: 1000,
})
const snapshot = (
  services: readonly Service[],
  routes: readonly Route[],
): Pick<MeshSnapshot, 'services' | 'routes'> => ({
  services,
  routes,
})
const head = (authority: string, path: string, more: Partial<RequestHead> = {}): RequestHead => ({
  method: 'GET',
  authority,
  path,
  query: undefined,
  headers: {},
  protocol: 'HTTP/1.1',
  scheme: 'http',
  ...more,
})

test('the host picks the routes, and the first that matches wins', () => {
  const find = routesOf(
    snapshot(
      [service('exact'), service('post'), service('canary'), service('prefix')],
      [
        route('exact', { path: { type: 'exact', value: '/a/b' } }),
        route('post', { path: { type: 'prefix', value: '/a/' }, method: 'POST' }),
        route('canary', { path: { type: 'prefix', value: '/a' }, headers: { 'x-canary': 'yes' } }),
        route('prefix', { path: { type: 'prefix', value: '/a' } }),
      ],
    ),
    () => 0,
  )
  expect(find(head('shop', '/a/b'))?.route).toBe('exact')
  expect(find(head('shop:80', '/a/b'))?.route).toBe('exact')
  expect(find(head('shop', '/a/b/'))?.route).toBe('prefix')
  expect(find(head('shop', '/a', { method: 'POST' }))?.route).toBe('post')
  expect(find(head('shop', '/a', { headers: { 'x-canary': 'yes' } }))?.route).toBe('canary')
  expect(find(head('shop', '/a', { headers: { 'x-canary': 'no' } }))?.route).toBe('prefix')
  expect(find(head('shop', '/ab'))).toBeUndefined()
  expect(find(head('shops', '/a'))).toBeUndefined()
  expect(find({ code: 'bad_request', detail: '' })).toBeUndefined()
})

test('a host that no route names goes to its service; one whose routes all decline goes nowhere', () => {
  const only = route('exact', { path: { type: 'exact', value: '/a' } }, [{ service: 'orders', weight: 1 }])
  const find = routesOf(snapshot([service('orders', [1], ['orders', 'shop'])], [only]), () => 0)
  expect(find(head('orders', '/x'))).toMatchObject({ route: 'orders', service: 'orders', timeoutMs: 15_000 })
  expect(find(head('shop', '/a'))?.route).toBe('exact')
  expect(find(head('shop', '/x'))).toBeUndefined()
})

test('weights share the requests, and nothing of weight 0 is ever picked', () => {
  const all = { path: { type: 'prefix', value: '/' } } as const
  const backends = [
    { service: 'never', weight: 0 },
    { service: 'one', weight: 1 },
    { service: 'three', weight: 3 },
  ]
  const services = ['never', 'one', 'three'].map((name) => service(name))
  const at = (number: number) =>
    routesOf(snapshot(services, [route('r', all, backends)]), () => number)(head('shop', '/'))
  expect([0, 0.24, 0.25, 0.99].map((number) => at(number)?.service)).toEqual(['one', 'one', 'three', 'three'])
  const dead = [{ service: 'never', weight: 0 }]
  expect(routesOf(snapshot(services, [route('r', all, dead)]), () => 0)(head('shop', '/'))).toBeUndefined()
})

test('endpoints take turns, and a service without any finds nothing', () => {
  const find = routesOf(snapshot([service('a', [1, 2, 3], ['a']), service('none', [], ['none'])], []), () => 0)
  expect([1, 2, 3, 4].map(() => find(head('a', '/'))?.endpoint.port)).toEqual([1, 2, 3, 1])
  expect(find(head('none', '/'))).toBeUndefined()
})

test('an inbound listener goes to its own application, also with a head that nobody could read', () => {
  const find = appRoute({
    direction: 'inbound',
    name: 'http',
    bind: { kind: 'tcp', address: '127.0.0.1', port: 0 },
    app: { address: '127.0.0.1', port: 9 },
    service: 'orders',
    policy: undefined,
  })
  expect(find({ code: 'bad_request', detail: '' })).toMatchObject({ service: 'orders', endpoint: { port: 9 } })
})

test('an inbound listener finds the first of its routes that matches what goes on, whatever the host', () => {
  const use = (bundle: string) => ({ bundle, entrypoint: 'a/b', recordHeaders: [], recordQuery: false })
  const find = appRoute({
    ...{ direction: 'inbound', name: 'in', bind: { kind: 'unix', path: 'x' }, service: 'shop' },
    app: { address: '127.0.0.1', port: 1 },
    policy: use('base'),
    policies: [
      { route: 'r/ping/0', match: { path: { type: 'exact', value: '/admin/ping' }, method: 'GET' }, policy: undefined },
      { route: 'r/admin/0', match: { path: { type: 'prefix', value: '/admin' } }, policy: use('admin') },
    ],
  })
  const at = (method: string, path: string, authority = 'shop') => {
    const rest = { query: undefined, headers: {}, protocol: 'HTTP/1.1', scheme: 'https' } as const
    const found = find({ method, path, authority, ...rest })
    return [found?.route, found?.policy?.bundle]
  }
  expect(at('GET', '/admin')).toEqual(['r/admin/0', 'admin'])
  expect(at('GET', '/admin/x', 'other:1')).toEqual(['r/admin/0', 'admin'])
  expect(at('GET', '/admin/ping')).toEqual(['r/ping/0', undefined])
  expect(at('POST', '/admin/ping')).toEqual(['r/admin/0', 'admin'])
  expect(at('GET', '/administrator')).toEqual(['shop', undefined])
  expect(find({ code: 'bad_request', detail: '' })).toMatchObject({ route: 'shop' })
})
