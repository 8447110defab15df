/** Traffic of the bank, judged and recorded as a proxy does it, and the log that it makes. */

import type { RequestFacts } from '../../../core/facts.ts'
import type { PolicyUse } from '../../../core/policy.ts'
import type { Decide } from '../../../core/ports.ts'
import { type AuditEvent, parseEvent } from '../../../core/record.ts'
import { trustDomainOf } from '../../../core/spiffe.ts'
import { makeDecide } from '../../../engine/decide.ts'
import { loadBundle, readPolicyFolder } from '../../../engine/node/open.ts'
import type { Policy } from '../../../engine/policy.ts'
import { decisionBody } from '../../../proxy/flow/record.ts'
import { id, Producer } from '../verify/producer.ts'

export interface Asked {
  readonly caller: string
  readonly method: string
  readonly path: string
  readonly target: string
  readonly query?: string
  readonly headers?: Readonly<Record<string, string>>
}

export const use: PolicyUse = {
  bundle: 'bank',
  entrypoint: 'writ/authz/result',
  recordHeaders: [],
  recordQuery: false,
}

/** As a busy minute of the bank, with one call that no edge allows among every six. */
export const calls: readonly Asked[] = Array.from({ length: 10 }, (_, i): readonly Asked[] => [
  { caller: 'storefront', method: 'GET', path: '/orders', target: 'orders', query: `page=${i}` },
  { caller: 'storefront', method: 'GET', path: `/orders/${i}`, target: 'orders' },
  { caller: 'storefront', method: 'POST', path: '/orders', target: 'orders', headers: { 'x-role': 'clerk' } },
  { caller: 'orders', method: 'GET', path: `/accounts/de-${i}`, target: 'ledger' },
  { caller: 'orders', method: 'POST', path: '/transfers', target: 'ledger' },
  { caller: 'storefront', method: 'DELETE', path: `/orders/${i}`, target: 'orders' },
]).flat()

/** The committed policy of the bank. */
export async function openBank(): Promise<Policy> {
  const bank = (await readPolicyFolder('policies')).find(({ ref }) => ref.bundle === 'bank')!
  return loadBundle(bank.bytes, 'bank', { now: () => 0n })
}

export const decideBy = (policy: Policy): Decide => makeDecide({ get: () => policy })

export function factsOf({ caller, method, path, target, query, headers = {} }: Asked, nowMs: number): RequestFacts {
  const name = id(caller)
  const identity = {
    ...{ id: name, trustDomain: trustDomainOf(name), proof: 'x509' as const, serial: '0a1b' },
    ...{ notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 3_540_000 },
  }
  return {
    direction: 'inbound',
    workload: id(target),
    listener: `${target}/http`,
    source: { identified: { ok: true, identity }, address: '10.0.0.7', port: 40_000 },
    destination: { service: target, address: '10.0.0.9', port: 8443 },
    head: { method, authority: target, path, query, headers, protocol: 'HTTP/1.1', scheme: 'https' },
    requestId: '0123456789abcdef',
    traceId: '',
    atNs: BigInt(nowMs) * 1_000_000n,
  }
}

export class Traffic {
  readonly leaves: Uint8Array[] = []
  readonly producer: Producer = new Producer('orders')

  constructor() {
    this.leaves.push(this.producer.start())
  }

  async judge(asked: readonly Asked[], decide: Decide, by: PolicyUse = use): Promise<this> {
    for (const one of asked) {
      const facts = factsOf(one, this.producer.nowMs)
      const found = {
        ...{ route: one.target, service: one.target, timeoutMs: 0 },
        endpoint: { address: '127.0.0.1', port: 1, identity: undefined },
      }
      this.leaves.push(this.producer.write(decisionBody(facts, found, await decide(facts, by), by)))
    }
    return this
  }

  get events(): readonly AuditEvent[] {
    return this.leaves.map((leaf) => {
      const read = parseEvent(leaf)
      if ('wrong' in read) throw new Error(read.wrong)
      return read.event
    })
  }
}
