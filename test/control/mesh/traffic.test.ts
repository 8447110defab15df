import { expect, test } from 'vitest'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { snapshotFor } from '../../../control/mesh/scope.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { bound, meshWith, own, problemsOf, route, served, sha256, snapshotOf } from '../world.ts'

const shop = served('shop', 9001, ', outbound: {port: 9100}')
const toShop = 'parentRefs: [{group: "", kind: Service, name: shop}]'
const way = route(
  'ways',
  `{${toShop}, rules: [{name: buy, matches: [{path: {value: /buy}}], backendRefs: [{name: shop}]}, {matches: [{path: {value: /buy/status}}], backendRefs: [{name: shop}]}]}`,
)
const ofService = 'targetRefs: [{kind: Service, name: shop}]'
const policy = (spec: string, name = 'rules') => own('TrafficPolicy', name, `{${spec}}`)
const mesh = (...more: readonly string[]) => meshWith(shop, bound('shop'), way, ...more)

test('a policy of a service says how its callers’ proxies spread and hold back requests', () => {
  const given = policy(
    `${ofService}, loadBalancer: {type: Maglev, hashOn: {header: X-User}}, outlierEjection: {maxPercent: 20, baseTime: 5s}, circuitBreaker: {openFor: 1m}`,
  )
  const snapshot = snapshotOf(mesh(given))
  expect(snapshot.services[0]).toMatchObject({
    name: 'shop',
    traffic: {
      balance: { type: 'maglev', hashOn: { kind: 'header', name: 'x-user' } },
      outlier: { consecutive: 5, baseMs: 5000, maxMs: 300_000, maxShare: 0.2 },
      breaker: { failureThreshold: 5, openForMs: 60_000, successThreshold: 1, minimumRequests: 10 },
    },
  })
  expect(snapshot.workloads[0]!.listeners[0]).not.toHaveProperty('limits')
  expect(problemsOf(mesh(given))).toEqual([])
})

test('localities of workloads are those of their endpoints, and a policy may leave them out of account', () => {
  const here = served('shop', 9001, ', outbound: {port: 9100}, locality: eu/a')
  const service = own(
    'Service',
    'shop',
    '{endpoints: [{workload: shop}, {workload: shop, address: 10.0.0.1, locality: eu/b}]}',
  )
  const snapshot = snapshotOf(
    meshWith(here, service, bound('shop'), policy(`${ofService}, loadBalancer: {locality: Any}`)),
  )
  expect(snapshot.workloads[0]).toMatchObject({ locality: 'eu/a' })
  expect(snapshot.services[0]).toMatchObject({
    endpoints: [{ locality: 'eu/a' }, { address: '10.0.0.1', locality: 'eu/b' }],
    traffic: { locality: 'any' },
  })
  expect(checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256)).toEqual(snapshot)
  expect(snapshotOf(meshWith(here, bound('shop'))).services[0]!.endpoints).toMatchObject([{ locality: 'eu/a' }])
  expect(problemsOf(meshWith(served('shop', 9001, ', locality: eu//a'), bound('shop')))).toMatchObject([
    { field: 'spec.locality', problem: expect.stringContaining('is not a locality such as eu-west-1/eu-west-1a') },
  ])
})

test('limits stand at the listener: a workload’s own over its service’s, and beside them those of routes, narrow ones first', () => {
  const service = policy(`${ofService}, limits: [{requests: 100}]`)
  const limitsOf = (...more: readonly string[]) => {
    const listener = snapshotOf(mesh(...more)).workloads[0]!.listeners[0]!
    return listener.direction === 'inbound' ? listener.limits : undefined
  }
  expect(limitsOf(service)).toEqual({ all: [{ perSecond: 100, burst: 100 }] })
  const workload =
    'targetRefs: [{kind: Workload, name: shop}], limits: [{requests: 6, per: 1m, burst: 3, by: {caller: true}}]'
  const all = [{ perSecond: 0.1, burst: 3, by: { kind: 'caller' } }]
  expect(limitsOf(service, policy(workload, 'own'))).toEqual({ all })
  const rule = (section: string) =>
    policy(
      `targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ways${section}}], limits: [{requests: 1, by: {cookie: sid}}]`,
      'buys',
    )
  const limits = [{ perSecond: 1, burst: 1, by: { kind: 'cookie', name: 'sid' } }]
  expect(limitsOf(rule(', sectionName: buy'))).toMatchObject({
    all: [],
    routes: [
      { route: 'ways/1/0', limits: [] },
      { route: 'ways/buy/0', limits },
    ],
  })
  expect(limitsOf(rule(''))).toMatchObject({ routes: [{ limits }, { limits }] })
})

test('what a listener takes of its sources is said of its workload, else of its service, and of a gateway for itself', () => {
  const gateway = `apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: door}\nspec: {gatewayClassName: writ-ingress, listeners: [{name: plain, hostname: a.example, port: 80, protocol: HTTP}]}`
  const edge = own('Workload', 'edge', '{gateway: {name: door}, outbound: {port: 9300}}')
  const door = own(
    'PolicyBinding',
    'door',
    '{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: door}], bundle: bank, entrypoint: a/b}',
  )
  const entering = route('enter', '{parentRefs: [{name: door}], rules: [{backendRefs: [{name: shop}]}]}')
  const all =
    'sources: {deny: ["192.0.2.0/24"], prefix: {ipv4: 24}, maxConnections: 9, maxHandshakes: 3, newConnections: {count: 60, per: 1m}}'
  const snapshot = snapshotOf(
    mesh(
      gateway,
      edge,
      door,
      entering,
      policy(`${ofService}, ${all}`),
      policy(
        'targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: door}], sources: {allow: ["10.0.0.0/8"]}',
        'gate',
      ),
    ),
  )
  const at = (workload: string) => snapshot.workloads.find(({ name }) => name === workload)!.listeners
  expect(at('shop')[0]).toMatchObject({
    sources: {
      ...{ deny: ['192.0.2.0/24'], prefix: { ipv4: 24, ipv6: 64 }, connections: 9, handshakes: 3 },
      rate: { perSecond: 1, burst: 60 },
    },
  })
  expect(at('edge')[0]).not.toHaveProperty('sources')
  expect(at('edge')[1]).toMatchObject({ sources: { allow: ['10.0.0.0/8'], prefix: { ipv4: 32, ipv6: 64 } } })
  expect(checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256)).toEqual(snapshot)
  const wrong = problemsOf(mesh(policy(`${ofService}, sources: {deny: ["192.0.2.1/24"]}`)))
  expect(wrong).toMatchObject([{ problem: expect.stringContaining('is no range of addresses such as 10.0.0.0/8') }])
  const ofRoute = 'targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ways}]'
  expect(problemsOf(mesh(policy(`${ofRoute}, sources: {maxConnections: 1}`)))).toContainEqual(
    expect.objectContaining({ problem: expect.stringContaining('of a listener and not of a HTTPRoute') }),
  )
})

test('methods and lengths of bodies are of listeners and of routes, whether they have limits or not', () => {
  const ofRoute = 'targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ways, sectionName: buy}]'
  const snapshot = snapshotOf(
    mesh(
      policy(`${ofService}, accepts: {methods: [GET, POST], maxBodyBytes: 1000}`),
      policy(`${ofRoute}, accepts: {methods: [POST]}`, 'buy'),
    ),
  )
  expect(snapshot.workloads[0]!.listeners[0]).toMatchObject({
    limits: {
      ...{ all: [], accepts: { methods: ['GET', 'POST'], bodyBytes: 1000 } },
      routes: [
        { route: 'ways/1/0', limits: [] },
        { route: 'ways/buy/0', limits: [], accepts: { methods: ['POST'] } },
      ],
    },
  })
  expect(checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256)).toEqual(snapshot)
  expect(problemsOf(mesh(policy(`${ofService}, accepts: {}`)))).toMatchObject([{ problem: 'says nothing' }])
  expect(problemsOf(mesh(policy(`${ofService}, accepts: {methods: [get]}`)))[0]!.problem).toBe(
    'is no method in upper case',
  )
})

test('what proxies take over the wire holds all of it', () => {
  const snapshot = snapshotOf(
    mesh(
      policy(
        `${ofService}, loadBalancer: {type: RingHash, hashOn: {caller: true}}, outlierEjection: {}, circuitBreaker: {}, limits: [{requests: 1, by: {header: a}}, {requests: 2, by: {cookie: b}}]`,
      ),
      policy(
        'targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ways}], limits: [{requests: 1}]',
        'ways',
      ),
    ),
  )
  const scoped = snapshotFor(snapshot, snapshot.workloads[0]!.id as SpiffeId, sha256)!
  expect(checkSnapshot(JSON.parse(JSON.stringify(scoped)), sha256)).toEqual(scoped)
})

test.each([
  ['nothing', ofService, 'says nothing'],
  ['a hash without a key', `${ofService}, loadBalancer: {type: RingHash}`, 'needs to know by what'],
  ['a key that nothing hashes', `${ofService}, loadBalancer: {type: Random, hashOn: {caller: true}}`, 'hashes nothing'],
  [
    'a breaker of a workload',
    'targetRefs: [{kind: Workload, name: shop}], circuitBreaker: {}',
    'only limits and sources are of a',
  ],
  ['no such service', 'targetRefs: [{kind: Service, name: nope}], circuitBreaker: {}', 'there is no Service nope'],
  ['no time', `${ofService}, limits: [{requests: 1, per: 0s}]`, 'is no time'],
  [
    'a key of two places',
    `${ofService}, limits: [{requests: 1, by: {header: a, cookie: b}}]`,
    'is unknown or not supp',
  ],
])('%s is a problem with its place', (_, spec, problem) => {
  const found = problemsOf(mesh(policy(spec))).filter(({ level }) => level === 'error')
  expect(found.map((one) => one.problem).join('; ')).toContain(problem)
  expect(found[0]!.document).toBe('TrafficPolicy/rules')
})

test('two policies of one place are a problem, and so is what counts requests where there are none', () => {
  const one = policy(`${ofService}, limits: [{requests: 1}]`)
  const texts = problemsOf(mesh(one, policy(`${ofService}, circuitBreaker: {}`, 'second'))).map((it) => it.problem)
  expect(texts).toContain('Service shop has TrafficPolicy/rules already')
  const tcp = own('Workload', 'shop', '{inbound: {port: 9001, app: {port: 5432, appProtocol: tcp}}}')
  const ofTcp = problemsOf(meshWith(tcp, bound('shop'), one)).map((it) => it.problem)
  expect(ofTcp).toContain('speaks tcp, and its limits count requests')
  const watched = problemsOf(meshWith(tcp, bound('shop'), policy(`${ofService}, circuitBreaker: {}`)))
  expect(watched.map((it) => it.problem)).toContain('shop speaks tcp, and only requests are spread and watched')
})
