/** A caller and a callee, each with a sidecar, and what the log has of them. */

import { type ReconcileRules, Reconciler } from '../../../audit/reconcile/reconcile.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import type { AuditEvent, EventBody } from '../../../core/record.ts'
import { id, Producer } from '../verify/producer.ts'

export const minute: number = 60_000
export const both: ReadonlySet<string> = new Set([id('web'), id('orders')])
export const sidecars: ReconcileRules = { inbound: () => both, outbound: () => both }

export class Pair {
  readonly web: Producer = new Producer('web')
  readonly orders: Producer = new Producer('orders')
  readonly leaves: Uint8Array[] = [this.web.start(), this.orders.start()]

  write(by: Producer, body: EventBody): void {
    this.leaves.push(by.write(body))
  }
  /** The callee's decision; gives its id. */
  judged(requestId: string): string {
    const seq = this.orders.seq
    this.leaves.push(this.orders.decision({ caller: id('web'), requestId }))
    return `${this.orders.epoch}-${seq}`
  }
  called(
    requestId: string,
    more: { decision?: string; status?: number; again?: true; attempt?: number; seq?: number } = {},
  ): void {
    const item = {
      seq: this.web.seq,
      request_id: requestId,
      target: id('orders'),
      service: 'orders',
      status: 200,
      ...more,
    }
    this.write(this.web, { kind: 'calls', calls: [item] })
  }
  /** Both sign, so much later. */
  later(ms: number): void {
    for (const by of [this.web, this.orders]) {
      by.nowMs += ms
      this.leaves.push(by.head())
    }
  }
  read(rules: ReconcileRules = sidecars): Reconciler {
    const reconciler = new Reconciler(rules)
    for (const leaf of this.leaves) reconciler.take(JSON.parse(fromUtf8(leaf)) as AuditEvent, 0)
    return reconciler
  }
}
