import { expect, test } from 'vitest'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { snapshotFor } from '../../../control/mesh/scope.ts'
import type { GatewayListener, MeshSnapshot } from '../../../core/snapshot.ts'
import { bound, meshWith, own, problemsOf, route, served, sha256, snapshotOf } from '../world.ts'

const api = (kind: string, name: string, spec: string): string =>
  `apiVersion: gateway.networking.k8s.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}`
const gateway = (listeners: string, more = ''): string =>
  api('Gateway', 'door', `{gatewayClassName: writ-ingress, listeners: [${listeners}]${more}}`)
const web = '{name: web, hostname: shop.example, port: 8080, protocol: HTTP}'
const secure =
  '{name: secure, hostname: shop.example, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: shop-tls}]}}'
const edge = own('Workload', 'edge', '{gateway: {name: door, address: 0.0.0.0}}')
const toOrders = (parent = '{name: door}', name = 'shop'): string =>
  route(name, `{parentRefs: [${parent}], rules: [{name: all, backendRefs: [{name: orders}]}]}`)
const binding = (name: string, target: string): string =>
  own('PolicyBinding', name, `{targetRefs: [${target}], bundle: bank, entrypoint: a/${name}}`)
const toDoor = '{group: gateway.networking.k8s.io, kind: Gateway, name: door}'
const orders = [served('orders', 9001), bound('orders')]

const listenersOf = (snapshot: MeshSnapshot): readonly GatewayListener[] =>
  snapshot.workloads.flatMap(({ listeners }) => listeners).filter((one) => one.direction === 'gateway')

test('a gateway opens a port for each of its ports, and sends callers without TLS to where the host has it', () => {
  const snapshot = snapshotOf(meshWith(...orders, gateway(`${web}, ${secure}`), edge, toOrders(), binding('x', toDoor)))
  expect(listenersOf(snapshot)).toMatchObject([
    {
      name: 'gateway-8080',
      bind: { address: '0.0.0.0', port: 8080 },
      sites: [{ host: 'shop.example', serves: 'redirect', port: 8443 }],
      routes: [],
      policy: { bundle: 'bank', entrypoint: 'a/x' },
    },
    {
      name: 'gateway-8443',
      sites: [{ host: 'shop.example', serves: 'https', certificates: ['shop-tls'] }],
      routes: [{ name: 'shop/all/0', hosts: ['shop.example'], backends: [{ service: 'orders', weight: 1 }] }],
    },
  ])
  expect(snapshot.routes.map(({ name }) => name)).toEqual(['orders/default'])
})

test('a route that names the plain listener is served there, and then nobody is sent away', () => {
  const parents = '{name: door, sectionName: web}'
  const snapshot = snapshotOf(meshWith(...orders, gateway(`${web}, ${secure}`), edge, toOrders(parents)))
  const [plain, tls] = listenersOf(snapshot)
  expect(plain).toMatchObject({ sites: [{ serves: 'http' }], routes: [{ name: 'shop/all/0' }] })
  expect(tls!.routes).toEqual([])
})

test('a wildcard is served where a listener and a route meet, and no name with TLS without it', () => {
  const all = '{name: all, hostname: "*.shop.example", port: 8080, protocol: HTTP}'
  const one = secure.replace('shop.example', 'pay.shop.example')
  const named = (name: string, hosts: string): string =>
    route(
      name,
      `{parentRefs: [{name: door}], hostnames: [${hosts}], rules: [{name: all, backendRefs: [{name: orders}]}]}`,
    )
  const text = (hosts: string): string =>
    meshWith(...orders, gateway(`${all}, ${one}`), edge, named('a', hosts), named('b', 'a.shop.example'))
  const [plain, tls] = listenersOf(snapshotOf(text('"*.shop.example"')))
  expect(plain!.sites).toEqual([
    { host: '*.shop.example', serves: 'http' },
    { host: 'pay.shop.example', serves: 'redirect', port: 8443 },
  ])
  expect(plain!.routes.map(({ name, hosts }) => [name, hosts])).toEqual([
    ['a/all/0', ['*.shop.example']],
    ['b/all/0', ['a.shop.example']],
  ])
  expect(tls!.routes.map(({ hosts }) => hosts)).toEqual([['pay.shop.example']])
  const problem = 'no listener of Gateway door has shop.example'
  expect(problemsOf(text('shop.example')).filter(({ level }) => level === 'error')).toMatchObject([{ problem }])
})

test('a route of a gateway asks its own policy there, and says nothing where it arrives', () => {
  const ofRoute = binding('r', '{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop, sectionName: all}')
  const limits = own('TrafficPolicy', 't', `{targetRefs: [${toDoor}], limits: [{requests: 10}]}`)
  const snapshot = snapshotOf(
    meshWith(...orders, gateway(secure), edge, toOrders(), binding('x', toDoor), ofRoute, limits),
  )
  expect(listenersOf(snapshot)).toMatchObject([
    {
      policy: { entrypoint: 'a/x' },
      policies: [{ route: 'shop/all/0', policy: { entrypoint: 'a/r' } }],
      limits: { all: [{ perSecond: 10, burst: 10 }] },
    },
  ])
  const arrives = snapshot.workloads.find(({ name }) => name === 'orders')!.listeners[0]!
  expect(arrives).toMatchObject({ direction: 'inbound', policy: { entrypoint: 'a/b' } })
  expect(arrives).not.toHaveProperty('policies')
})

test('certificates of callers are asked for as the gateway says, and the snapshot goes over the wire whole', () => {
  const validation =
    'validation: {mode: AllowMissing, caCertificateRefs: [{name: partners}], trustDomain: partners.example}'
  const more = `, tls: {frontend: {default: {${validation}}}}`
  const snapshot = snapshotOf(meshWith(...orders, gateway(secure, more), edge, toOrders(), binding('x', toDoor)))
  expect(listenersOf(snapshot)[0]!.clients).toEqual({
    mode: 'optional',
    roots: { names: ['partners'], trustDomain: 'partners.example' },
  })
  const { id } = snapshot.workloads.find(({ name }) => name === 'edge')!
  const part = snapshotFor(snapshot, id, sha256)!
  expect(part.services.map(({ name }) => name)).toEqual(['orders'])
  expect(checkSnapshot(JSON.parse(JSON.stringify(part)), sha256).name).toBe(part.name)
})

const vault = own('Workload', 'vault', '{inbound: {port: 9001, app: {port: 5432, appProtocol: tcp}}}')
const passing = '{name: raw, hostname: vault.example, port: 8443, protocol: TLS, tls: {mode: Passthrough}}'
const tlsRoute = (host: string, backend = 'vault'): string =>
  api(
    'TLSRoute',
    'raw',
    `{parentRefs: [{name: door}], hostnames: [${host}], rules: [{backendRefs: [{name: ${backend}}]}]}`,
  )

test('TLS of a name is passed on to a service that speaks tcp, beside names that end at the same port', () => {
  const documents = [vault, bound('vault'), gateway(`${secure}, ${passing}`), edge, tlsRoute('vault.example')]
  const snapshot = snapshotOf(meshWith(...documents, binding('x', toDoor)))
  expect(listenersOf(snapshot)).toMatchObject([
    {
      sites: [
        { host: 'shop.example', serves: 'https' },
        { host: 'vault.example', serves: 'tls', route: 'raw', backends: [{ service: 'vault', weight: 1 }] },
      ],
    },
  ])
  const { id } = snapshot.workloads.find(({ name }) => name === 'edge')!
  const part = snapshotFor(snapshot, id, sha256)!
  expect(part.services).toMatchObject([{ name: 'vault', protocol: 'tcp' }])
  expect(checkSnapshot(JSON.parse(JSON.stringify(part)), sha256).name).toBe(part.name)
})

test('a listener of all names below one is led on where its names and those of a TLSRoute meet', () => {
  const below = '{name: raw, hostname: "*.vault.example", port: 8443, protocol: TLS}'
  const own = '{name: own, hostname: c.vault.example, port: 8443, protocol: TLS}'
  const documents = [
    vault,
    bound('vault'),
    gateway(`${below}, ${own}`),
    edge,
    tlsRoute('a.vault.example, "*.b.vault.example"'),
  ]
  const other = tlsRoute('c.vault.example').replace('name: raw', 'name: two')
  const snapshot = snapshotOf(meshWith(...documents, other, binding('x', toDoor)))
  const backends = [{ service: 'vault', weight: 1 }]
  expect(listenersOf(snapshot)).toMatchObject([
    {
      sites: [
        { host: 'a.vault.example', serves: 'tls', route: 'raw', backends },
        { host: '*.b.vault.example', serves: 'tls', route: 'raw', backends },
        { host: '*.vault.example', serves: 'tls', route: '', backends: [] },
        { host: 'c.vault.example', serves: 'tls', route: 'two', backends },
      ],
    },
  ])
  const whole = snapshotOf(
    meshWith(
      vault,
      bound('vault'),
      gateway(`${secure}, ${passing}`),
      edge,
      tlsRoute('"*.example"'),
      binding('x', toDoor),
    ),
  )
  expect(listenersOf(whole)).toMatchObject([{ sites: [{}, { host: 'vault.example', route: 'raw' }] }])
})

test('a listener takes the kinds of routes that it allows', () => {
  const only = (kind: string) =>
    `{name: plain, hostname: shop.example, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}, kinds: [{kind: ${kind}}]}}`
  const given = (kind: string) =>
    meshWith(gateway(only(kind)), edge, toOrders(), served('orders', 9001), bound('orders'), binding('x', toDoor))
  expect(problemsOf(given('HTTPRoute'))).toEqual([])
  expect(problemsOf(given('GRPCRoute'))).toMatchObject([
    { problem: 'Gateway/door takes no HTTPRoute there: allowedRoutes.kinds says which' },
  ])
})

test('TLS 1.2 is spoken at a port whose listeners all ask for it', () => {
  const older = (text: string) => text.replace('tls: {', 'tls: {options: {writ.dev/min-version: "1.2"}, ')
  const [one, two] = [secure, secure.replace('name: secure', 'name: two').replace('shop.example', 'pay.example')]
  const given = (...listeners: readonly string[]) =>
    meshWith(
      gateway(listeners.join(', ')),
      edge,
      toOrders(),
      served('orders', 9001),
      bound('orders'),
      binding('x', toDoor),
    )
  expect(listenersOf(snapshotOf(given(older(one), older(two))))).toMatchObject([{ minTls: '1.2' }])
  expect(listenersOf(snapshotOf(given(one, two)))[0]).not.toHaveProperty('minTls')
  expect(problemsOf(given(older(one), two))[0]!.problem).toContain('versions are agreed on before the host is')
})

test.each([
  [
    'at a port that is not the service’s',
    [tlsRoute('vault.example', 'vault, port: 81')],
    'is not the port of Service vault',
  ],
  ['to a service of HTTP', [tlsRoute('vault.example', 'orders')], 'does not speak tcp'],
  ['of a name that no listener has', [tlsRoute('other.example')], 'no listener of door has other.example'],
  ['twice', [tlsRoute('vault.example'), tlsRoute('vault.example').replace('name: raw', 'name: two')], 'already'],
])('TLS that is passed on %s is a problem', (_, documents, problem) => {
  const one = own('Workload', 'vault', '{inbound: {port: 9005, app: {port: 5432, appProtocol: tcp}}}')
  const problems = problemsOf(meshWith(...orders, one, bound('vault'), gateway(passing), edge, ...documents))
  expect(problems.map((it) => it.problem).join('\n')).toContain(problem)
})

test.each([
  ['a Gateway that is not there', [edge], 'there is no Gateway door'],
  [
    'one of the mesh',
    [edge, api('Gateway', 'door', `{gatewayClassName: writ, listeners: [${web}]}`)],
    'is for outbound',
  ],
  ['one that nobody opens', [gateway(secure)], 'no Workload listens for it'],
  ['one without a policy', [gateway(secure), edge], 'has no PolicyBinding'],
  [
    'a port with and without TLS',
    [gateway(`${web}, ${secure.replace('8443', '8080')}`), edge],
    'with TLS and one without',
  ],
  ['HTTPS without a certificate', [gateway(web.replace('HTTP}', 'HTTPS}')), edge], 'HTTPS needs a certificate'],
  ['a host twice', [gateway(`${web}, ${web.replace('web', 'again')}`), edge], 'is served at 8080 already'],
  [
    'callers in the trust domain of the mesh',
    [
      gateway(
        secure,
        ', tls: {frontend: {default: {validation: {caCertificateRefs: [{name: a}], trustDomain: bank.example}}}}',
      ),
      edge,
    ],
    'is the mesh’s own',
  ],
  ['a port that is taken', [gateway(secure.replace('8443', '9001')), edge], 'already'],
  [
    'a policy for one listener',
    [gateway(secure), edge, binding('x', toDoor.replace('door', 'door, sectionName: web'))],
    'not bound by itself',
  ],
  [
    'a policy for names of the mesh',
    [api('Gateway', 'door', `{gatewayClassName: writ, listeners: [${web}]}`), binding('x', toDoor)],
    'which judge nothing',
  ],
])('%s is a problem', (_, documents, problem) => {
  const problems = problemsOf(meshWith(...orders, ...documents)).map((one) => one.problem)
  expect(problems.join('\n')).toContain(problem)
})
