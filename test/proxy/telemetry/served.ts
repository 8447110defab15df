/** A request that is over, for tests of what is told of it. */

import { fault, refuse } from '../../../core/decision.ts'
import type { RequestFacts, RequestHead } from '../../../core/facts.ts'
import type { Outcome } from '../../../core/outcome.ts'
import type { Epoch, RecordId } from '../../../core/record.ts'
import type { SpiffeId, TrustDomain } from '../../../core/spiffe.ts'
import type { Found } from '../../../proxy/flow/route.ts'
import type { Served } from '../../../proxy/telemetry/served.ts'

export const web = 'spiffe://bank.example/ns/shop/sa/web' as SpiffeId
export const orders = 'spiffe://bank.example/orders' as SpiffeId

export const head = (more: Partial<RequestHead> = {}): RequestHead => ({
  ...{ method: 'GET', authority: 'orders.internal', path: '/orders/7', query: undefined, headers: {} },
  ...{ protocol: 'HTTP/1.1' as const, scheme: 'https' as const },
  ...more,
})

const identity = {
  ...{ id: web, trustDomain: 'bank.example' as TrustDomain, proof: 'x509' as const, serial: '5a' },
  ...{ notBeforeMs: 0, notAfterMs: 1e15 },
}

export const facts = (more: Partial<RequestFacts> = {}): RequestFacts => ({
  ...{ direction: 'inbound', workload: orders, listener: 'orders/in' },
  source: { identified: { ok: true, identity }, address: '10.0.0.7', port: 40_000 },
  destination: { service: 'orders', address: '127.0.0.1', port: 8443 },
  ...{ head: head(), requestId: 'request-1', traceId: '', atNs: 1_764_000_000_000_000_000n },
  ...more,
})

export const found: Found = {
  ...{ route: 'orders', service: 'orders', timeoutMs: 0 },
  endpoint: { address: '127.0.0.1', port: 8080, identity: undefined },
}

export const outcome = (more: Partial<Outcome> = {}): Outcome => ({
  ...{ code: 'completed', status: 200, requestBytes: 3, responseBytes: 14, durationUs: 812 },
  ...{ upstream: '127.0.0.1:8080' },
  ...more,
})

export const allowed = {
  verdict: 'allow',
  code: 'allowed',
  from: { by: 'policy', policy: { bundle: 'bank', revision: '1', sha256: 'ab' } },
  reasons: [],
} as const

export const kept: RecordId = { producer: orders, epoch: 'a'.repeat(24) as Epoch, seq: 17 }

export const served = (more: Partial<Served> = {}): Served => ({
  ...{ facts: facts(), found, use: undefined, decision: allowed, kept, outcome: outcome() },
  ...more,
})

export const denied = (): Served =>
  served({ decision: refuse('policy_denied', 'no'), outcome: outcome({ code: 'refused', status: 403, upstream: '' }) })

export const faulty = (): Served =>
  served({ decision: fault('policy_error', 'x'), outcome: outcome({ code: 'refused', status: 503, upstream: '' }) })
