/** May this request pass? Finds the policy and asks it; where there is none, that is a fault. */

import { fault } from '../core/decision.ts'
import type { Decide } from '../core/ports.ts'
import type { Policies } from './policies.ts'
import { boundedReason } from './result.ts'

export function makeDecide(policies: Pick<Policies, 'get'>): Decide {
  return (facts, use) => {
    if (!use) return fault('policy_missing', 'no policy is bound to this listener')
    const policy = policies.get(use.bundle)
    if (!policy) return fault('policy_missing', boundedReason(`policy ${use.bundle} is not loaded`))
    return policy.judge(use.entrypoint, facts)
  }
}
