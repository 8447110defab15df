/**
 * Callers who prove no name. A listener of the mesh refuses them; a gateway judges them like any other, and then what
 * they are refused must not fill the log.
 */

import type { Decision } from '../../core/decision.ts'
import type { Identified } from '../../core/identity.ts'
import { fullBucket, refilled, taken, waitMs } from '../limit/bucket.ts'

export interface Strangers {
  /** Whether a decision about one of them is recorded by itself. All others are counted by their source address. */
  keeps(decision: Decision, nowMs: number): boolean
}

/** Refusals by a policy that are recorded, a second and at once, of all strangers of a listener. */
const recorded = { perSecond: 100, burst: 200 }

/** What passes is recorded, always. Of what is refused, refusals by policies are, up to `recorded`. */
export function judgeStrangers(): Strangers {
  let bucket: ReturnType<typeof fullBucket> | undefined
  return {
    keeps(decision, nowMs) {
      if (decision.verdict === 'allow') return true
      if (decision.from.by === 'proxy') return false
      bucket = refilled(bucket ?? fullBucket(recorded, nowMs), nowMs, recorded)
      if (waitMs(bucket, recorded) > 0) return false
      bucket = taken(bucket)
      return true
    },
  }
}

/** Whether the caller may ask at all: by its name, or as a stranger where those are judged. A name that does not hold is none. */
export const isJudged = (
  identified: Identified,
  strangers: Strangers | undefined,
): identified is Extract<Identified, { ok: true }> | { readonly ok: false; code: 'identity_missing'; detail: string } =>
  identified.ok || (strangers !== undefined && identified.code === 'identity_missing')
