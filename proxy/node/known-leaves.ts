/**
 * Leaves of callers that have proven their names: who connects again shows the same one, and what came with it need not be
 * asked of OpenSSL and copied again. It saves a look, and decides nothing: `Identify` judges each connection.
 */

import { equalBytes, toHex } from '../../core/bytes.ts'
import type { Evidence, Peer } from '../../core/identity.ts'

/** Most that are kept; beyond them the one that came first is looked at again. Some 1.5 KiB each. */
const mostLeaves = 1024

export interface KnownLeaves {
  /** The evidence that this leaf came with, unless a certificate of it has ended since. */
  find(leaf: Uint8Array, nowMs: number): Evidence | undefined
  /** `peer` has proven its name, by certificates that hold until `untilMs`. */
  keep(peer: Peer, untilMs: number): void
  /** Trust has changed: a chain that held may hold no longer, where another would. */
  clear(): void
}

export function makeKnownLeaves(): KnownLeaves {
  const kept = new Map<string, { readonly leaf: Uint8Array; readonly evidence: Evidence; readonly untilMs: number }>()
  const nameOf = (leaf: Uint8Array): string => toHex(leaf.subarray(-8)) // The end of its signature.
  return {
    find(leaf, nowMs) {
      const before = kept.get(nameOf(leaf))
      return before && nowMs <= before.untilMs && equalBytes(before.leaf, leaf) ? before.evidence : undefined
    },
    keep({ evidence }, untilMs) {
      const leaf = evidence.kind === 'x509' ? evidence.chain[0] : undefined
      if (!leaf) return
      const name = nameOf(leaf)
      if (kept.get(name)?.evidence === evidence) return
      kept.delete(name) // So that it counts as the newest.
      kept.set(name, { leaf, evidence, untilMs })
      if (kept.size > mostLeaves) kept.delete(kept.keys().next().value!)
    },
    clear: () => kept.clear(),
  }
}
