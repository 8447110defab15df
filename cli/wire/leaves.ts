/**
 * Whose certificates were not renewed when they were due, as control knows it: proxies, agents and auditors show what they use
 * whenever they ask for trust, and for the workloads of a host their agent asks.
 */

import { type Lifetime, lifetime, urgencyOf } from '../../ca/lifetimes.ts'
import type { SharedState } from '../../ca/node/shared.ts'
import type { SpiffeId } from '../../core/spiffe.ts'

export interface Leaf {
  readonly id: SpiffeId
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

export interface Leaves {
  /** What this one uses from now on. */
  seen(leaf: Leaf): void
  /** Those of ids that still renew. Never rejects: while a database does not answer, it is what was late before. */
  late(): Promise<readonly { readonly id: SpiffeId; readonly lifetime: Lifetime }[]>
}

/** Ids that are remembered at most, of which the longest unheard of goes first. */
const maxLeaves = 100_000

export function makeLeaves(options: {
  /** Where several control planes hear a part each. Default this one hears all. */
  readonly shared: Pick<SharedState, 'leaves'> | undefined
  /** Whether somebody renews certificates in this name. */
  readonly renews: (id: SpiffeId) => boolean
  readonly nowMs: () => number
}): Leaves {
  const { shared, renews, nowMs } = options
  const heard = new Map<SpiffeId, Leaf>()
  let last: readonly Leaf[] = []
  const mine = (): readonly Leaf[] => {
    for (const [id, { notAfterMs }] of heard) if (notAfterMs <= nowMs()) heard.delete(id)
    return [...heard.values()]
  }
  return {
    seen(leaf) {
      if (!renews(leaf.id)) return
      if (shared) {
        void shared.leaves.put(leaf).catch(() => undefined) // The next word of it comes soon enough.
        return
      }
      heard.delete(leaf.id)
      heard.set(leaf.id, leaf)
      if (heard.size > maxLeaves) heard.delete(heard.keys().next().value!)
    },
    async late() {
      last = shared ? await shared.leaves.late(nowMs()).catch(() => last) : mine()
      return (
        last
          .filter(({ id }) => renews(id))
          .map((leaf) => ({ id: leaf.id, lifetime: lifetime('leaf', leaf) }))
          // Whose time is over went away long ago, and nobody needs to be told.
          .filter((one) => one.lifetime.notAfterMs > nowMs() && urgencyOf(one.lifetime, nowMs()) !== undefined)
      )
    },
  }
}
