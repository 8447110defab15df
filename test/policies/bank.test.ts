import { beforeAll, expect, test } from 'vitest'
import type { Decision } from '../../core/decision.ts'
import type { RequestFacts } from '../../core/facts.ts'
import type { Identified } from '../../core/identity.ts'
import { parseSpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { makeDecide } from '../../engine/decide.ts'
import { loadBundle, readPolicyFolder } from '../../engine/node/open.ts'
import { makePolicies } from '../../engine/policies.ts'

/** The committed bundle, asked through the very facts that a proxy would hand over. */

const policies = makePolicies()
beforeAll(async () => {
  for (const { ref, bytes } of await readPolicyFolder('policies')) {
    policies.put(await loadBundle(bytes, ref.bundle, { now: () => 0n }))
  }
})

const identified = (name: string): Identified => {
  const id = parseSpiffeId(name)
  if (!id) return { ok: false, code: 'identity_missing', detail: 'no certificate' }
  const identity = {
    id,
    trustDomain: trustDomainOf(id),
    proof: 'x509',
    serial: '1',
    notBeforeMs: 0,
    notAfterMs: 1,
  } as const
  return { ok: true, identity }
}

function decide(caller: string, method: string, path: string, callee: string): Decision {
  const facts: RequestFacts = {
    direction: 'inbound',
    workload: parseSpiffeId(`spiffe://bank.example/${callee}`)!,
    listener: `${callee}/http`,
    source: { identified: identified(caller), address: '127.0.0.1', port: 1 },
    destination: { service: callee, address: '127.0.0.1', port: 2 },
    head: { method, authority: callee, path, query: 'a=1', headers: {}, protocol: 'HTTP/1.1', scheme: 'https' },
    requestId: 'r',
    traceId: '',
    atNs: 1n,
  }
  const use = { bundle: 'bank', entrypoint: 'writ/authz/result', recordHeaders: [], recordQuery: false }
  return makeDecide(policies)(facts, use) as Decision
}

const bank = (name: string) => `spiffe://bank.example/${name}`
const edges = [
  ['storefront', 'GET', '/orders', 'orders'],
  ['storefront', 'GET', '/orders/17', 'orders'],
  ['storefront', 'POST', '/orders', 'orders'],
  ['orders', 'GET', '/accounts/de-1', 'ledger'],
  ['orders', 'POST', '/transfers', 'ledger'],
] as const

test('of all calls between the workloads, exactly the five edges and health checks are allowed', () => {
  const workloads = ['storefront', 'orders', 'ledger', 'auditor-app']
  const paths = ['/', '/orders', '/orders/17', '/orders/17/x', '/accounts', '/accounts/de-1', '/transfers', '/healthz']
  const allowed: string[] = []
  for (const caller of workloads)
    for (const callee of workloads)
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'])
        for (const path of paths) {
          if (method === 'GET' && path === '/healthz')
            expect(decide(bank(caller), method, path, callee).verdict).toBe('allow')
          else if (decide(bank(caller), method, path, callee).verdict === 'allow')
            allowed.push([caller, method, path, callee].join(' '))
        }
  expect(allowed.sort()).toEqual(edges.map((edge) => edge.join(' ')).sort())
})

test('a refusal says in plain words which edge is missing, without the id that was asked for', () => {
  expect(decide(bank('storefront'), 'DELETE', '/orders/17', 'orders')).toMatchObject({
    verdict: 'deny',
    code: 'policy_denied',
    reasons: ['storefront may not DELETE /orders/{id} at orders: no edge allows it'],
  })
})

test('nobody passes without a name, nor with one of another trust domain, not even to health checks', () => {
  for (const caller of ['', 'spiffe://evil.example/storefront', 'spiffe://bank.example.evil/storefront']) {
    expect(decide(caller, 'GET', '/orders', 'orders').verdict).toBe('deny')
    expect(decide(caller, 'GET', '/healthz', 'orders').verdict).toBe('deny')
  }
})

test('an encoded slash or dot does not stretch a step', () => {
  for (const path of ['/orders/1%2F2', '/orders/..', '/orders/%2e%2e', '/orders/', '/orders/a%5Cb', '/orders%2F17']) {
    expect([path, decide(bank('storefront'), 'GET', path, 'orders').verdict]).toEqual([path, 'deny'])
  }
  expect(decide(bank('storefront'), 'GET', '/orders/a%20b', 'orders').verdict).toBe('allow')
})
