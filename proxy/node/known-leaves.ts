/**
 * Leaves of callers that have proven their names: who connects again shows the same one, and what came with it need not be
 * asked of OpenSSL and copied again. It saves a look, and decides nothing: `Identify` judges each connection.
 */

import { equalBytes } from '../../core/bytes.ts'
import type { Evidence, Peer } from '../../core/identity.ts'
import { Recent } from '../../core/recent.ts'

export interface KnownLeaves {
  /** The evidence that this leaf came with, unless a certificate of it has ended since. */
  find(leaf: Uint8Array, nowMs: number): Evidence | undefined
  /** `peer` has proven its name, by certificates that hold until `untilMs`. */
  keep(peer: Peer, untilMs: number): void
  /** Trust has changed: a chain that held may hold no longer, where another would. */
  clear(): void
}

export function makeKnownLeaves(): KnownLeaves {
  const recent = new Recent<{ readonly leaf: Uint8Array; readonly evidence: Evidence; readonly untilMs: number }>()
  return {
    find(leaf, nowMs) {
      const before = recent.find(leaf)
      return before && nowMs <= before.untilMs && equalBytes(before.leaf, leaf) ? before.evidence : undefined
    },
    keep({ evidence }, untilMs) {
      const leaf = evidence.kind === 'x509' ? evidence.chain[0] : undefined
      if (!leaf || recent.find(leaf)?.evidence === evidence) return
      recent.keep(leaf, { leaf, evidence, untilMs })
    },
    clear: () => recent.clear(),
  }
}
