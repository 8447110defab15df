import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { auditDefaults } from '../../../core/snapshot.ts'
import {
  bankBundle,
  bankText,
  bound,
  compiled,
  meshWith,
  own,
  problemsOf,
  route,
  served,
  sha256,
  snapshotOf,
} from '../world.ts'

test('a mesh file becomes the snapshot that proxies run', () => {
  const snapshot = snapshotOf(bankText)
  expect(snapshot).toMatchObject({
    v: 1,
    trustDomain: 'bank.example',
    cluster: 'north',
    bundles: [bankBundle],
    audit: { ...auditDefaults, durability: 'strict', syncEveryMs: 20 },
  })
  expect(snapshot.workloads.find(({ name }) => name === 'orders')).toEqual({
    name: 'orders',
    id: 'spiffe://bank.example/orders',
    listeners: [
      {
        direction: 'inbound',
        name: 'inbound',
        bind: { kind: 'tcp', address: '127.0.0.1', port: 9101 },
        app: { address: '127.0.0.1', port: 8101 },
        service: 'orders',
        policy: { bundle: 'bank', entrypoint: 'writ/authz/result', recordHeaders: ['x-reason'], recordQuery: true },
      },
      { direction: 'outbound', name: 'outbound', bind: { kind: 'tcp', address: '127.0.0.1', port: 9201 } },
    ],
  })
  expect(snapshot.workloads.find(({ name }) => name === 'teller')).toEqual({
    name: 'teller',
    id: 'spiffe://bank.example/ns/front/sa/teller',
    listeners: [{ direction: 'outbound', name: 'outbound', bind: { kind: 'unix', path: 'run/teller.sock' } }],
  })
  expect(snapshot.services).toEqual([
    {
      name: 'ledger',
      hosts: ['ledger'],
      endpoints: [
        { address: 'ledger.internal', port: 7000, identity: 'spiffe://bank.example/ledger' },
        { address: '127.0.0.1', port: 7001, identity: 'spiffe://bank.example/orders' },
      ],
    },
    {
      name: 'orders',
      hosts: ['orders'],
      endpoints: [{ address: '127.0.0.1', port: 9101, identity: 'spiffe://bank.example/orders' }],
    },
    {
      name: 'payments',
      hosts: ['payments', 'payments.bank.example'],
      endpoints: [
        { address: '127.0.0.1', port: 9102, identity: 'spiffe://bank.example/payments' },
        { address: '127.0.0.1', port: 9103, identity: 'spiffe://bank.example/payments-b' },
      ],
    },
  ])
})

test('routes stand in the order of Gateway API: exact, longest prefix, method, headers, age, name', () => {
  expect(snapshotOf(bankText).routes).toEqual([
    expect.objectContaining({ name: 'payments/0/1', match: { path: { type: 'exact', value: '/healthz' } } }),
    expect.objectContaining({
      name: 'payments/0/2',
      match: { path: { type: 'prefix', value: '/v1/refunds' }, method: 'POST', headers: { 'x-tier': 'gold' } },
    }),
    expect.objectContaining({ name: 'api/orders/0', hosts: ['api.bank.example'] }),
    {
      name: 'payments/0/0',
      hosts: ['payments', 'payments.bank.example'],
      match: { path: { type: 'prefix', value: '/v1' } },
      backends: [
        { service: 'payments', weight: 9 },
        { service: 'ledger', weight: 1 },
      ],
      timeoutMs: 2500,
    },
    // Services without an HTTPRoute answer for their hosts themselves; payments has one, and gets no other.
    expect.objectContaining({ name: 'ledger/default', timeoutMs: 15_000 }),
    {
      name: 'orders/default',
      hosts: ['orders'],
      match: { path: { type: 'prefix', value: '/' } },
      backends: [{ service: 'orders', weight: 1 }],
      timeoutMs: 15_000,
    },
  ])

  const to = (spec: string) => `{parentRefs: [{group: core, kind: Service, name: a}], rules: [${spec}]}`
  const rule = (match: string) => `{matches: [${match}], backendRefs: [{name: a}]}`
  const names = (...routes: readonly string[]) =>
    snapshotOf(meshWith(served('a', 1000), bound('a'), ...routes)).routes.map(({ name }) => name)
  expect(names(route('m', to(rule('{headers: [{name: x, value: y}]}, {method: GET}'))))).toEqual(['m/0/1', 'm/0/0'])
  expect(
    names(
      route('r1', to(rule('{}'))),
      route('r2', to(rule('{}')), ', creationTimestamp: 2026-02-01T00:00:00Z'),
      route('r3', to(rule('{}')), ', creationTimestamp: 2026-01-01T00:00:00Z'),
      route('r0', to(rule('{}'))),
    ),
  ).toEqual(['r3/0/0', 'r2/0/0', 'r0/0/0', 'r1/0/0'])
})

test('settings that proxies never see come beside the snapshot', () => {
  const mesh = (spec: string) =>
    compiled(`apiVersion: writ.dev/v1\nkind: Mesh\nmetadata: {name: m}\nspec: {trustDomain: a.b${spec}}`)
  expect(mesh('')).toMatchObject({
    ok: true,
    settings: { stream: { kind: 'embedded' }, store: { kind: 'embedded' }, svidTtlMs: 3_600_000 },
  })
  const kafka = ', audit: {stream: {kafka: {brokers: ["k:9092"]}}, store: {postgres: {urlEnv: DB_URL}}}'
  expect(mesh(`${kafka}, identity: {ttl: 24h}`)).toMatchObject({
    settings: {
      stream: { kind: 'kafka', brokers: ['k:9092'], topic: 'writ.records.v1' },
      store: { kind: 'postgres', urlEnv: 'DB_URL' },
      svidTtlMs: 86_400_000,
    },
  })
  expect(mesh(', identity: {ttl: 24h1s}')).toMatchObject({ ok: false, problems: [{ field: 'spec.identity.ttl' }] })
  expect(mesh(', audit: {spoolMaxBytes: 1048576, segmentBytes: 524289}')).toMatchObject({ ok: false })
  expect(mesh(', audit: {spoolMaxBytes: 1048576, segmentBytes: 524288}')).toMatchObject({ ok: true })
})

test('a binding explains to callers where it says so, and a snapshot read back says the same', () => {
  const policyOf = (binding: string) => {
    const snapshot = snapshotOf(meshWith(served('a', 1000), binding))
    const read = checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256)
    const [listener] = read.workloads.find(({ name }) => name === 'a')!.listeners
    return listener?.direction === 'inbound' ? listener.policy : undefined
  }
  expect(policyOf(bound('a').replace('entrypoint: a/b', 'entrypoint: a/b, explain: true'))).toHaveProperty(
    'explain',
    true,
  )
  expect(policyOf(bound('a').replace('entrypoint: a/b', 'entrypoint: a/b, explain: false'))).not.toHaveProperty(
    'explain',
  )
  expect(policyOf(bound('a'))).not.toHaveProperty('explain')
})

test('an inbound listener without a policy is a warning, with two policies an error', () => {
  expect(compiled(meshWith(served('a', 1000)))).toMatchObject({
    ok: true,
    snapshot: { workloads: [{ listeners: [{ direction: 'inbound', policy: undefined }] }] },
    warnings: [{ level: 'warning', document: 'Workload/a', field: 'spec.inbound' }],
  })
  expect(compiled(meshWith(served('a', 1000), bound('a')))).toMatchObject({ ok: true, warnings: [] })
  const other = own(
    'PolicyBinding',
    'other',
    '{targetRefs: [{kind: Workload, name: a}], bundle: bank, entrypoint: c/d}',
  )
  expect(problemsOf(meshWith(served('a', 1000), bound('a'), other))).toMatchObject([
    { level: 'error', document: 'PolicyBinding/other', field: 'spec.targetRefs[0].name' },
  ])
})

test('every name must lead somewhere', () => {
  const field = (...documents: readonly string[]) =>
    problemsOf(meshWith(served('a', 1000), ...documents)).filter(({ level }) => level === 'error')
  const parent = 'parentRefs: [{group: "", kind: Service, name: a}]'
  expect(field(bound('b'))).toMatchObject([{ field: 'spec.targetRefs[0].name', problem: 'there is no Workload b' }])
  expect(field(bound('a').replace('bundle: bank', 'bundle: nobody'))).toMatchObject([{ field: 'spec.bundle' }])
  expect(field(own('Workload', 'b', '{service: c, inbound: {port: 1, app: {port: 2}}}'))).toMatchObject([
    { field: 'spec.service', problem: 'there is no Service c' },
  ])
  expect(field(own('Service', 'c', '{endpoints: [{workload: z}]}'))).toMatchObject([
    { field: 'spec.endpoints[0].workload' },
  ])
  expect(field(own('Service', 'c', '{}'))).toMatchObject([{ document: 'Service/c', problem: 'is served by nobody' }])
  expect(field(route('r', `{${parent}, rules: [{backendRefs: [{name: z}]}]}`))).toMatchObject([
    { field: 'spec.rules[0].backendRefs[0].name' },
  ])
  expect(field(route('r', `{${parent}, rules: [{backendRefs: [{name: a, port: 81}]}]}`))).toMatchObject([
    { field: 'spec.rules[0].backendRefs[0].port' },
  ])
  expect(field(route('r', `{${parent}, rules: [{backendRefs: [{name: a, weight: 0}]}]}`))).toMatchObject([
    { field: 'spec.rules[0].backendRefs' },
  ])
  expect(field(route('r', '{parentRefs: [{name: g}], rules: [{backendRefs: [{name: a}]}]}'))).toMatchObject([
    { field: 'spec.parentRefs[0].name', problem: 'there is no Gateway g' },
  ])
  expect(field(route('r', `{${parent}, hostnames: [x.y], rules: [{backendRefs: [{name: a}]}]}`))).toMatchObject([
    { field: 'spec.hostnames' },
  ])
  expect(field(own('Service', 'c', '{hosts: [a], endpoints: [{workload: a}]}'))).toMatchObject([
    { document: 'Service/c', field: 'spec.hosts[0]' },
  ])
})

test('two listeners want one place only where they share a host', () => {
  const two = (first: string, second: string) =>
    problemsOf(
      meshWith(
        own('Workload', 'a', first),
        own('Workload', 'b', second),
        own('Service', 's', '{endpoints: [{identity: /x, address: x, port: 1}]}'),
      ),
    ).filter(({ level }) => level === 'error')
  expect(two('{outbound: {port: 1000}}', '{outbound: {port: 1000}}')).toMatchObject([
    { document: 'Workload/b', field: 'spec.outbound.port', line: expect.any(Number) },
  ])
  expect(two('{outbound: {port: 1000}}', '{outbound: {port: 1001}}')).toEqual([])
  expect(two('{host: x, outbound: {port: 1000}}', '{host: y, outbound: {port: 1000}}')).toEqual([])
  expect(two('{outbound: {port: 1000, address: 127.0.0.1}}', '{outbound: {port: 1000, address: 127.0.0.2}}')).toEqual(
    [],
  )
  expect(
    two('{outbound: {port: 1000}}', '{service: s, inbound: {address: 0.0.0.0, port: 1000, app: {port: 7}}}'),
  ).toHaveLength(1)
  expect(two('{outbound: {socket: s}}', '{outbound: {socket: s}}')).toHaveLength(1)
  expect(two('{outbound: {socket: s}}', '{outbound: {socket: t}}')).toEqual([])
  expect(two('{identity: /x, outbound: {port: 1}}', '{identity: /x, outbound: {port: 2}}')).toMatchObject([
    { field: 'spec.identity' },
  ])
})

test('an outbound listener stands on loopback, an inbound one is not its own application', () => {
  expect(problemsOf(meshWith(own('Workload', 'a', '{outbound: {port: 1, address: 10.0.0.1}}')))).toMatchObject([
    { level: 'error', field: 'spec.outbound.address' },
  ])
  expect(problemsOf(meshWith(own('Workload', 'a', '{outbound: {port: 1, address: 127.0.0.9}}')))).toEqual([])
  expect(problemsOf(meshWith(bound('a'), own('Workload', 'a', '{inbound: {port: 9, app: {port: 9}}}')))).toMatchObject([
    { level: 'error', field: 'spec.inbound.app.port' },
  ])
  expect(
    problemsOf(meshWith(own('Workload', 'a', '{identity: "spiffe://other.example/a", outbound: {port: 1}}'))),
  ).toMatchObject([{ level: 'error', field: 'spec.identity' }])
})

test('the names of Writ’s own processes are no workload’s', () => {
  expect(problemsOf(meshWith(own('Workload', 'a', '{identity: /writ/control, outbound: {port: 1}}')))).toMatchObject([
    { level: 'error', field: 'spec.identity' },
  ])
  expect(problemsOf(meshWith(own('Workload', 'a', '{identity: /writ, outbound: {port: 1}}')))).toEqual([])
})

test('a workload that listens on every address needs endpoints that callers can reach', () => {
  const workload = own('Workload', 'a', '{inbound: {address: 0.0.0.0, port: 1000, app: {port: 2000}}}')
  expect(problemsOf(meshWith(workload, bound('a')))).toMatchObject([{ field: 'spec.inbound.address' }])
  const service = own('Service', 'a', '{endpoints: [{workload: a, address: a.internal}]}')
  expect(snapshotOf(meshWith(workload, bound('a'), service)).services[0]?.endpoints).toEqual([
    { address: 'a.internal', port: 1000, identity: 'spiffe://bank.example/a' },
  ])
})

test('the same documents in any order are the same snapshot', () => {
  const documents = bankText.split('---\n')
  const { name } = snapshotOf(bankText)
  fc.assert(
    fc.property(fc.shuffledSubarray(documents, { minLength: documents.length }), (shuffled) => {
      expect(snapshotOf(shuffled.join('\n---\n')).name).toBe(name)
    }),
    { numRuns: 50 },
  )
  expect(snapshotOf(bankText.replace('weight: 9', 'weight: 8')).name).not.toBe(name)
})
