/**
 * A retry budget: of a service's requests of the last ten seconds, some share may be retries. Counts stand in slots of a
 * second, so that what is long ago is forgotten without being remembered one by one.
 */

import type { RetryBudget } from '../../core/traffic.ts'

export interface Budget {
  /** One more request, its first attempt. */
  asked(): void
  /** Takes a retry where there is room for one. */
  take(): boolean
  use(options: RetryBudget): void
}

const slots = 10
const slotMs = 1000

export function makeBudget(nowMs: () => number, first: RetryBudget): Budget {
  let options = first
  const asked = new Uint32Array(slots)
  const taken = new Uint32Array(slots)
  let slot = Math.floor(nowMs() / slotMs)

  /** The slot of now; those since the last look are empty again. A clock that goes back stays in the last slot. */
  function at(): number {
    const now = Math.floor(nowMs() / slotMs)
    for (let cleared = 0; slot < now && cleared < slots; cleared++) {
      slot++
      asked[slot % slots] = 0
      taken[slot % slots] = 0
    }
    slot = Math.max(slot, now)
    return slot % slots
  }

  const sum = (counts: Uint32Array): number => counts.reduce((all, one) => all + one, 0)

  return {
    asked() {
      asked[at()]!++
    },
    take() {
      const here = at()
      if (sum(taken) >= sum(asked) * options.share + slots * options.perSecond) return false
      taken[here]!++
      return true
    },
    use(newer) {
      options = newer
    },
  }
}
