/** What is known of one endpoint of a service. */

import type { Outcome } from '../../core/outcome.ts'
import type { Endpoint } from '../../core/snapshot.ts'
import type { Latency } from './ewma.ts'
import type { Health } from './outlier.ts'

export interface Member {
  readonly endpoint: Endpoint
  /** Tells it from the service's others. */
  readonly key: string
  latency: Latency
  health: Health
  inFlight: number
  /** How often it was asked. */
  asked: number
  /** When it came, in milliseconds; 0 of those that were there from the beginning. */
  readonly sinceMs: number
}

/** What an outcome says of whoever was asked: nothing where the caller left, or a tunnel ended. */
export function saidOf({ code, status }: Pick<Outcome, 'code' | 'status'>): 'success' | 'failure' | undefined {
  if (failures.has(code)) return 'failure'
  if (code !== 'completed' || status === 101) return undefined // How long a tunnel lasts says nothing.
  return status >= 500 ? 'failure' : 'success'
}

const failures: ReadonlySet<string> = new Set<Outcome['code']>([
  'upstream_unreachable',
  'upstream_identity',
  'upstream_reset',
  'upstream_invalid',
  'upstream_timeout',
])

export const keyOf = ({ address, port, identity, protocol, locality }: Endpoint): string =>
  `${address} ${port} ${identity ?? ''} ${protocol ?? ''}${locality === undefined ? '' : ` ${locality}`}`
