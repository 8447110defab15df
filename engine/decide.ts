/** May this request pass? Finds the policy, asks it, and reads its answer; whatever goes wrong is a fault. */

import { type DecidedBy, type Decision, type DecisionFault, fault } from '../core/decision.ts'
import { messageOf } from '../core/fault.ts'
import { policyInputText } from '../core/input-text.ts'
import type { Decide } from '../core/ports.ts'
import { type AsOf, agedBy } from './data.ts'
import type { Policies } from './policies.ts'
import { boundedReason, readResult } from './result.ts'

/** `asOf` tells the age of data that is fetched beside the rules. */
export function makeDecide(policies: Pick<Policies, 'get'>, asOf?: AsOf): Decide {
  return (facts, use) => {
    if (!use) return fault('policy_missing', 'no policy is bound to this listener')
    const policy = policies.get(use.bundle)
    if (!policy) return fault('policy_missing', boundedReason(`policy ${use.bundle} is not loaded`))
    const by: Extract<DecidedBy, { by: 'policy' }> = { by: 'policy', policy: policy.ref }
    const { from, stale } = policy.parts ? agedBy(by, policy.parts, facts.atNs, asOf) : { from: by, stale: undefined }
    if (stale !== undefined) return faultOf(from, 'policy_data_stale', stale)
    try {
      const answer = policy.evaluateText(use.entrypoint, policyInputText(facts), facts.atNs)
      if (!answer.ok) return faultOf(from, answer.fault, answer.detail)
      const result = readResult(answer.value)
      switch (result.kind) {
        case 'allow': {
          const { reasons, effects } = result
          return { verdict: 'allow', code: 'allowed', from, reasons, ...(effects && { effects }) }
        }
        case 'deny': {
          const { reasons, answer } = result
          return { verdict: 'deny', code: 'policy_denied', from, reasons, ...(answer && { answer }) }
        }
        case 'invalid':
          return faultOf(from, 'policy_result_invalid', result.detail)
      }
    } catch (thrown) {
      return faultOf(from, 'policy_error', messageOf(thrown))
    }
  }
}

const faultOf = (from: DecidedBy, code: DecisionFault, detail: string): Decision => ({
  verdict: 'fault',
  code,
  from,
  reasons: [boundedReason(detail)],
})
