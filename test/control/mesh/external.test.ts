import { expect, test } from 'vitest'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { snapshotFor } from '../../../control/mesh/scope.ts'
import { meshWith, own, problemsOf, served, sha256, snapshotOf } from '../world.ts'

const web = own('Workload', 'web', '{outbound: {port: 9100}}')
const door = own('Workload', 'door', '{egress: {port: 9200}}')
const pay = (more = ''): string => own('ExternalService', 'pay', `{host: pay.example, connect: true${more}}`)
const bound = own(
  'PolicyBinding',
  'pay',
  '{targetRefs: [{kind: ExternalService, name: pay}], bundle: bank, entrypoint: a/pay}',
)
const tls = { serverName: 'pay.example' }

test('a host outside is reached by each caller’s own proxy, and judged there', () => {
  const snapshot = snapshotOf(meshWith(web, pay(), bound))
  expect(snapshot.workloads[0]!.listeners).toMatchObject([
    {
      direction: 'outbound',
      outside: [
        {
          service: {
            hosts: ['pay.example'],
            connect: true,
            endpoints: [{ address: 'pay.example', port: 443, outside: { tls, privateAddresses: false } }],
          },
          policy: { entrypoint: 'a/pay' },
        },
      ],
    },
  ])
  expect(snapshot.services).toEqual([])
  expect(snapshot.bundles).toHaveLength(1)
})

test('a host without TLS may be asked in HTTP/2', () => {
  const plain = pay(', appProtocol: kubernetes.io/h2c, tls: {mode: Disable}')
  const [listener] = snapshotOf(meshWith(web, plain, bound)).workloads[0]!.listeners
  const endpoints = [{ address: 'pay.example', port: 80, protocol: 'h2c', outside: { privateAddresses: false } }]
  expect(listener).toMatchObject({ outside: [{ service: { endpoints } }] })
})

test('by a gateway it is a service of the mesh, and only the gateway leads out', () => {
  const snapshot = snapshotOf(meshWith(web, door, pay(', gateway: door, addresses: [10.0.0.9]'), bound))
  expect(snapshot.services).toMatchObject([
    {
      name: 'pay',
      hosts: ['pay.example'],
      endpoints: [{ address: '127.0.0.1', port: 9200, identity: 'spiffe://bank.example/door' }],
      connect: true,
    },
  ])
  const [ofDoor, ofWeb] = snapshot.workloads
  expect(ofDoor!.listeners).toMatchObject([
    {
      direction: 'egress',
      bind: { port: 9200 },
      outside: [
        { service: { endpoints: [{ address: '10.0.0.9', outside: { tls } }] }, policy: { entrypoint: 'a/pay' } },
      ],
    },
  ])
  expect(ofWeb!.listeners[0]).not.toHaveProperty('outside')
  for (const { id } of snapshot.workloads) {
    const part = snapshotFor(snapshot, id, sha256)!
    expect(checkSnapshot(JSON.parse(JSON.stringify(part)), sha256).name).toBe(part.name)
  }
})

test.each([
  ['one without a policy', [pay()], 'it denies everything'],
  ['a gateway that is not there', [pay(', gateway: nobody'), bound], 'no Workload nobody with egress'],
  ['a host of the mesh', [served('pay.example', 9001), pay(), bound], 'is a host of Service pay.example too'],
  ['a name of the mesh', [served('pay', 9001), pay(), bound], 'there is a service pay too'],
  ['roots without TLS', [pay(', tls: {mode: Disable, caCertificateRefs: [{name: a}]}'), bound], 'and has none'],
  ['HTTP/2 without TLS over TLS', [pay(', appProtocol: kubernetes.io/h2c'), bound], 'is of HTTP without TLS'],
  ['a binding of nothing', [bound], 'there is no ExternalService pay'],
  ['a port that is taken', [own('Workload', 'other', '{egress: {port: 9100}}')], 'already'],
])('%s is a problem', (_, documents, problem) => {
  const problems = problemsOf(meshWith(web, ...documents)).map((one) => one.problem)
  expect(problems.join('\n')).toContain(problem)
})
