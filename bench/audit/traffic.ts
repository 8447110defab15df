/** What the decisions of the bench are about: some fifty edges of a mesh, one in fifteen refused, a kilobyte each. */

import { toHex } from '../../core/bytes.ts'
import type { DecidedBy, Decision } from '../../core/decision.ts'
import type { RequestFacts } from '../../core/facts.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { DecisionBody } from '../../core/record.ts'
import { type SpiffeId, spiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { decisionBody } from '../../proxy/flow/record.ts'
import { trustDomain } from '../certificates.ts'

export const workloads: readonly string[] = [
  ...['orders', 'ledger', 'payments', 'accounts', 'stock', 'mail', 'search', 'risk', 'cards', 'loans'],
]
const callers = ['storefront', 'mobile', 'batch', 'orders', 'backoffice', 'partner'].map(
  (name) => spiffeId(trustDomain, name)!,
)
const use: PolicyUse = {
  ...{ bundle: 'bank', entrypoint: 'writ/authz/result', recordQuery: false },
  recordHeaders: ['user-agent', 'content-type', 'x-request-kind'],
}
const policy = { bundle: 'bank', revision: '2026-11-20.3', sha256: '5a'.repeat(32) }
const from: DecidedBy = { by: 'policy', policy }
const allow: Decision = { verdict: 'allow', code: 'allowed', from, reasons: [] }
const deny: Decision = { verdict: 'deny', code: 'policy_denied', from, reasons: ['no edge allows this call'] }

const headers = {
  ...{ 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' },
  ...{ 'content-type': 'application/json', 'x-request-kind': 'interactive' },
}

/** What a proxy has once for a connection, and its requests share. */
type Connection = Pick<RequestFacts, 'source' | 'destination'>

/** Connections to one workload, all kept alive. */
const connectionsEach = 50
const connections = new Map<SpiffeId, readonly Connection[]>()

function connectionTo(workload: SpiffeId, number: number): Connection {
  let all = connections.get(workload)
  if (!all) {
    all = Array.from({ length: connectionsEach }, (_, i) => connect(workload, i))
    connections.set(workload, all)
  }
  return all[Math.floor(number / workloads.length) % connectionsEach]!
}

function connect(workload: SpiffeId, number: number): Connection {
  const id = callers[number % callers.length]!
  const identity = {
    ...{ id, trustDomain: trustDomainOf(id), proof: 'x509' as const },
    serial: (0x5a5a + (number % callers.length)).toString(16).repeat(8),
    ...{ notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 },
  }
  return {
    source: { identified: { ok: true, identity }, address: `10.0.${number % 7}.7`, port: 40_000 + number },
    destination: { service: workload, address: '10.0.0.9', port: 8443 },
  }
}

export function decisionOf(workload: SpiffeId, number: number, atNs: bigint, id: Uint8Array): DecisionBody {
  const hex = toHex(id)
  const facts: RequestFacts = {
    ...{ direction: 'inbound', workload, listener: 'http' },
    ...connectionTo(workload, number),
    head: {
      ...{ method: number % 4 === 0 ? 'POST' : 'GET', authority: 'orders.bank.example', query: '', headers },
      ...{ path: `/v1/orders/${(number * 2_654_435_761) % 1_000_003}`, protocol: 'HTTP/1.1', scheme: 'https' },
    },
    ...{ requestId: hex, traceId: hex.slice(16) + hex.slice(0, 16), atNs },
  }
  const found = {
    ...{ route: 'orders', service: 'orders', timeoutMs: 0 },
    endpoint: { address: '127.0.0.1', port: 1, identity: undefined },
  }
  return decisionBody(facts, found, number % 15 === 0 ? deny : allow, use)
}
