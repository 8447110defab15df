/** What one decision costs: the bank's committed policy over the facts of an allowed and of a denied request. Prints, asserts nothing. */

import type { RequestFacts } from '../core/facts.ts'
import { policyInput } from '../core/input.ts'
import { parseSpiffeId, trustDomainOf } from '../core/spiffe.ts'
import { makeDecide } from '../engine/decide.ts'
import { loadBundle, readPolicyFolder } from '../engine/node/open.ts'
import { makePolicies } from '../engine/policies.ts'

const batches = 9
const perBatch = 3000

const policies = makePolicies()
for (const { ref, bytes } of await readPolicyFolder('policies')) {
  policies.put(await loadBundle(bytes, ref.bundle, { now: () => BigInt(Date.now()) * 1_000_000n }))
}
const decide = makeDecide(policies)
const use = { bundle: 'bank', entrypoint: 'writ/authz/result', recordHeaders: [], recordQuery: false }

const id = parseSpiffeId('spiffe://bank.example/storefront')!
const identity = {
  id,
  trustDomain: trustDomainOf(id),
  proof: 'x509',
  serial: '01',
  notBeforeMs: 0,
  notAfterMs: 1,
} as const

const factsOf = (method: string): RequestFacts => ({
  direction: 'inbound',
  workload: parseSpiffeId('spiffe://bank.example/orders')!,
  listener: 'orders/http',
  source: { identified: { ok: true, identity }, address: '127.0.0.1', port: 40_000 },
  destination: { service: 'orders', address: '127.0.0.1', port: 8080 },
  head: {
    method,
    authority: 'orders.bank.example',
    path: '/orders/17',
    query: undefined,
    headers: { accept: 'application/json', 'user-agent': 'storefront/1', 'x-request-id': 'a'.repeat(36) },
    protocol: 'HTTP/1.1',
    scheme: 'https',
  },
  requestId: 'a'.repeat(36),
  traceId: '',
  atNs: 1n,
})

/** Median over batches, in microseconds for one call. */
function cost(once: () => unknown): string {
  const times: number[] = []
  for (let batch = 0; batch < batches; batch++) {
    const from = performance.now()
    for (let i = 0; i < perBatch; i++) once()
    times.push(((performance.now() - from) * 1000) / perBatch)
  }
  return `${times.sort((a, b) => a - b)[batches >> 1]!.toFixed(1)} µs`
}

const allowed = factsOf('GET')
const denied = factsOf('DELETE')
console.log(`allow: ${cost(() => decide(allowed, use))}`)
console.log(`deny, with its reason: ${cost(() => decide(denied, use))}`)
console.log(`of that, the input and its JSON: ${cost(() => JSON.stringify(policyInput(allowed)))}`)
