/**
 * Whose certificates were not renewed when they were due, as control knows it: by what it gave last, and by what proxies,
 * agents and auditors show that they use whenever they ask for trust.
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
  /** What this one was given, or was seen to use. */
  seen(leaf: Leaf): void
  /** Those of ids that still renew. Never rejects: while a database does not answer, it is what was late before. */
  late(): Promise<readonly { readonly id: SpiffeId; readonly lifetime: Lifetime }[]>
}

/** How long what is for the database is gathered, in milliseconds. */
const togetherMs = 200
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
  const share = (): void => {
    const leaves = [...heard.values()]
    heard.clear()
    void shared?.leaves.put(leaves).catch(() => undefined) // The next word of them comes soon enough.
  }
  let last: readonly Leaf[] = []
  const mine = (): readonly Leaf[] => {
    for (const [id, { notAfterMs }] of heard) if (notAfterMs <= nowMs()) heard.delete(id)
    return [...heard.values()]
  }
  return {
    seen({ id, notBeforeMs, notAfterMs }) {
      if (!renews(id)) return
      if (shared && heard.size === 0) setTimeout(share, togetherMs).unref()
      heard.delete(id)
      heard.set(id, { id, notBeforeMs, notAfterMs }) // Callers have more of it, such as its chain.
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
