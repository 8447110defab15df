import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressesOf, captureOf, hostsLines, nftRules, withHosts, withoutHosts } from '../../../control/mesh/capture.ts'
import type { Bind, Listener, Service, Workload } from '../../../core/snapshot.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
const at = (port: number, address = '127.0.0.1'): Bind => ({ kind: 'tcp', address, port })
const out = (bind: Bind, tcp?: string): Listener => ({ direction: 'outbound', name: 'out', bind, ...(tcp && { tcp }) })
const workload = (...listeners: Listener[]): Workload => ({
  name: 'web-a',
  id: 'spiffe://a.example/web' as SpiffeId,
  listeners,
})
const service = (name: string, hosts: readonly string[], tcp = false): Service => ({
  ...{ name, hosts, endpoints: [] },
  ...(tcp && { protocol: 'tcp' as const }),
})
const services = [
  service('ledger', ['ledger'], true),
  service('orders', ['orders', 'orders.shop', '*.shop', '10.0.0.1']),
]

test('services of HTTP go to the one port, opaque ones to theirs, and what cannot be captured is told', () => {
  const capture = captureOf(
    { workloads: [workload(out(at(15_001)), out(at(9101), 'ledger'))], services },
    'web-a',
    sha256,
  )
  const [ledger, orders] = ['ledger', 'orders'].map((name) => addressesOf(services, sha256).get(name)!)
  expect(capture.hosts).toEqual([
    { address: ledger, names: ['ledger'] },
    { address: orders, names: ['orders', 'orders.shop'] },
  ])
  expect(capture.redirects).toEqual([
    { address: ledger, port: 9101, service: 'ledger' },
    { address: orders, port: 15_001, service: 'orders' },
  ])
  expect(capture.left).toEqual([{ service: 'orders', why: 'is not found by *.shop, 10.0.0.1' }])
  expect(nftRules(capture, { exceptUid: 0 })).toMatch(
    /^table ip writ_web_a \{\}\ndelete table ip writ_web_a\ntable ip writ_web_a \{/,
  )
  expect(nftRules(capture, { exceptUid: 0 })).toContain('meta skuid 0 accept')
  expect(nftRules(capture, { exceptUid: 0 })).not.toContain('dport 53')
  expect(nftRules(capture, { exceptUid: 0, dnsPort: 15_053 })).toContain('udp dport 53 redirect to :15053')
  expect([...capture.names]).toEqual([
    ['ledger', ledger],
    ['orders', orders],
    ['orders.shop', orders],
    ['*.shop', orders],
  ])
})

test('a port that no redirect reaches captures nothing', () => {
  const unix: Bind = { kind: 'unix', path: '/run/web.sock' }
  for (const bind of [unix, at(15_001, '127.0.0.2')]) {
    const { redirects, left } = captureOf({ workloads: [workload(out(bind))], services }, 'web-a', sha256)
    expect(redirects).toEqual([])
    expect(left.map(({ service: name }) => name)).toEqual(['ledger', 'orders'])
  }
})

test('who is not in the mesh cannot be named', () => {
  const mesh = { workloads: [workload(out(at(1)))], services }
  expect(() => captureOf(mesh, 'nobody', sha256)).toThrow('there is no workload nobody')
  const addresses = [{ service: 'nothing', address: '10.0.0.1' }]
  expect(() => captureOf(mesh, 'web-a', sha256, { addresses })).toThrow('there is no service nothing')
})

test('each service has an address of its own in 127.64.0.0/10, whatever the order that they come in', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 300 }), (names) => {
      const given = names.map((name) => ({ name }))
      const addresses = addressesOf(given, sha256)
      expect(new Set(addresses.values()).size).toBe(names.length)
      for (const address of addresses.values())
        expect(address).toMatch(/^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.\d+\.\d+$/)
      expect(addressesOf(given.toReversed(), sha256)).toEqual(addresses)
    }),
    { numRuns: 20 },
  )
  // All on one address: the next ones are taken.
  const same = addressesOf([{ name: 'a' }, { name: 'b' }], () => new Uint8Array(32).fill(1))
  expect([...same.values()]).toEqual(['127.65.1.1', '127.65.1.2'])
})

test('a hosts file is changed between our two lines alone, and taking that back gives what was', () => {
  const capture = { workload: 'web', hosts: [{ address: '127.64.0.1', names: ['orders'] }] }
  const line = fc.stringMatching(/^[a-z0-9.# ]{0,12}$/)
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const before = lines.map((one) => `${one}\n`).join('')
      const after = withHosts(before, capture)
      expect(after).toBe(before + hostsLines(capture))
      expect(withHosts(after, capture)).toBe(after)
      expect(withoutHosts(after, 'other')).toBe(after)
      expect(withoutHosts(after, 'web')).toBe(before)
    }),
  )
  expect(withHosts('127.0.0.1 localhost', capture)).toBe(`127.0.0.1 localhost\n${hostsLines(capture)}`)
})
