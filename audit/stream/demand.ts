/** How durable a record must be before its keeper may go on, and whether it may hurry the disk for that. */

import type { EventBody } from '../../core/record.ts'
import type { Durability } from '../../core/snapshot.ts'

export interface Demand {
  readonly wait: 'written' | 'synced' | 'acknowledged'
  /** False: joins the next sync that is due anyway. No stranger can force one. */
  readonly urgent: boolean
}

export function demandOf(body: EventBody, durability: Durability): Demand {
  switch (body.kind) {
    case 'outcomes':
    case 'refusals':
    case 'head':
    case 'svid':
    case 'calls':
    case 'dropped':
      return { wait: 'written', urgent: false }
    case 'start':
      return { wait: 'synced', urgent: true } // Not acknowledged: a proxy starts while the stream is away.
    case 'issuance':
    case 'policy':
    case 'trust':
    case 'admin':
    case 'acknowledgement':
    case 'audit_read':
    case 'erased':
    case 'drill':
    case 'report':
    case 'attestation':
    case 'opa_decision': // Whoever sent it forgets it once it is answered.
      return { wait: durability === 'replicated' ? 'acknowledged' : 'synced', urgent: true }
    case 'decision': {
      if (!body.enforced) return { wait: 'written', urgent: false } // Nobody waits for it.
      const named = body.peer !== undefined
      const refused = named && body.verdict !== 'allow' // A fault that passes nobody too.
      return { wait: refused && durability === 'bounded' ? 'synced' : waits[durability], urgent: named }
    }
    case 'suppressed':
      return { wait: 'synced', urgent: true }
    case 'gap':
    case 'spool_lost':
    case 'log':
    case 'anomaly':
    case 'finding':
    case 'unmatched':
      return { wait: waits[durability], urgent: true }
  }
}

const waits: Readonly<Record<Durability, Demand['wait']>> = {
  bounded: 'written',
  strict: 'synced',
  replicated: 'acknowledged',
}
