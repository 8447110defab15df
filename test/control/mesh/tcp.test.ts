import { expect, test } from 'vitest'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { snapshotFor } from '../../../control/mesh/scope.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { bound, meshWith, own, problemsOf, route, served, sha256, snapshotOf } from '../world.ts'

const ledger = own('Workload', 'ledger', '{inbound: {port: 9001, app: {port: 5432, appProtocol: tcp}}}')
const teller = own('Workload', 'teller', '{outbound: {port: 9100, tcp: [{service: ledger, port: 9101}]}}')
const both = bound('ledger')

test('a workload that speaks tcp is called over a port of its own, and the snapshot says so', () => {
  const snapshot = snapshotOf(meshWith(ledger, teller, both))
  const [ofLedger, ofTeller] = snapshot.workloads
  expect(ofLedger!.listeners).toMatchObject([{ direction: 'inbound', name: 'inbound', protocol: 'tcp' }])
  expect(ofTeller!.listeners).toEqual([
    { direction: 'outbound', name: 'outbound', bind: { kind: 'tcp', address: '127.0.0.1', port: 9100 } },
    {
      direction: 'outbound',
      name: 'tcp-ledger',
      bind: { kind: 'tcp', address: '127.0.0.1', port: 9101 },
      tcp: 'ledger',
    },
  ])
  expect(snapshot.services).toMatchObject([{ name: 'ledger', protocol: 'tcp' }])
  expect(problemsOf(meshWith(ledger, teller, both))).toEqual([])
})

test('what proxies take over the wire holds every protocol that an application may speak', () => {
  const grpc = own('Workload', 'grpc', '{inbound: {port: 9003, app: {port: 5003, appProtocol: grpc}}}')
  const snapshot = snapshotOf(meshWith(ledger, teller, grpc, bound('ledger', 'grpc')))
  for (const { id } of snapshot.workloads) {
    const own = snapshotFor(snapshot, id as SpiffeId, sha256)!
    expect(checkSnapshot(JSON.parse(JSON.stringify(own)), sha256)).toMatchObject({ name: own.name })
  }
})

test('a port for a service of which nobody says what it speaks finds it out, and requests are routed to it as well', () => {
  const any = own('Workload', 'ledger', '{inbound: {port: 9001, app: {port: 5432, appProtocol: detect}}}')
  const snapshot = snapshotOf(meshWith(any, teller, both))
  expect(snapshot.workloads.flatMap(({ listeners }) => listeners)).toMatchObject([
    { direction: 'inbound', protocol: 'detect' },
    { direction: 'outbound', name: 'outbound' },
    { direction: 'outbound', tcp: 'ledger', detect: true },
  ])
  expect(snapshot.services[0]).not.toHaveProperty('protocol')
  const [part] = snapshot.workloads.map(({ id }) => snapshotFor(snapshot, id as SpiffeId, sha256)!)
  expect(checkSnapshot(JSON.parse(JSON.stringify(part)), sha256).name).toBe(part!.name)
})

const bodies = '{targetRefs: [{kind: Workload, name: ledger}], bundle: bank, entrypoint: a/b, body: {maxBytes: 1024}}'

test.each([
  ['a service that is not there', [own('Workload', 'a', '{outbound: {tcp: [{service: b, port: 1}]}}')], 'no service b'],
  [
    'a port that others reach',
    [ledger, both, own('Workload', 'a', '{outbound: {tcp: [{service: ledger, address: 10.0.0.1, port: 1}]}}')],
    'not a loopback address',
  ],
  [
    'two ports for one service',
    [ledger, both, own('Workload', 'a', '{outbound: {tcp: [{service: ledger, port: 1}, {service: ledger, port: 2}]}}')],
    'has a port here already',
  ],
  [
    'a port that is taken',
    [ledger, both, own('Workload', 'a', '{outbound: {tcp: [{service: ledger, port: 9001}]}}')],
    '9001 is Workload/ledger, inbound’s already',
  ],
  [
    'a service of HTTP',
    [served('web', 9001), bound('web'), own('Workload', 'a', '{outbound: {tcp: [{service: web, port: 1}]}}')],
    'speaks another protocol',
  ],
  [
    'an HTTPRoute that leads to it',
    [
      ledger,
      served('web', 9002),
      bound('ledger', 'web'),
      route(
        'r',
        '{parentRefs: [{kind: Service, group: "", name: web}], rules: [{backendRefs: [{name: ledger, port: 80}]}]}',
      ),
    ],
    'ledger speaks tcp',
  ],
  ['a policy that is to see bodies', [ledger, own('PolicyBinding', 'x', bodies)], 'takes bodies'],
])('opaque TCP to %s is refused with its line', (_, documents, problem) => {
  const problems = problemsOf(meshWith(...documents)).filter(({ level }) => level === 'error')
  expect(problems.map((one) => one.problem).join('\n')).toContain(problem)
  expect(problems).toHaveLength(1)
  expect(problems[0]!.line).toBeGreaterThan(1)
})
