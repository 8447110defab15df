/** May this request pass? Finds the policy, asks it, and reads its answer; whatever goes wrong is a fault. */

import { type DecidedBy, type Decision, type DecisionFault, fault } from '../core/decision.ts'
import { messageOf } from '../core/fault.ts'
import { policyInputText } from '../core/input-text.ts'
import type { Decide } from '../core/ports.ts'
import { evaluateAsking } from './asking.ts'
import { type AsOf, agedBy } from './data.ts'
import { type HttpTransport, senderOf } from './http-send.ts'
import type { Policies } from './policies.ts'
import type { Evaluation } from './policy.ts'
import { boundedReason, readResult } from './result.ts'
import { givenBy } from './world.ts'

export interface DecideWorld {
  /** Tells the age of data that is fetched beside the rules. Default nobody knows. */
  readonly asOf?: AsOf
  /** Sends what a policy asks by `http.send`, where its binding allows that. Default nothing is sent. */
  readonly http?: HttpTransport
}

type ByPolicy = Extract<DecidedBy, { readonly by: 'policy' }>

export function makeDecide(policies: Pick<Policies, 'get'>, world: DecideWorld = {}): Decide {
  return (facts, use, recorded) => {
    if (!use) return fault('policy_missing', 'no policy is bound to this listener')
    const policy = policies.get(use.bundle)
    if (!policy) return fault('policy_missing', boundedReason(`policy ${use.bundle} is not loaded`))
    let from: ByPolicy = { by: 'policy', policy: policy.ref }
    if (policy.parts) {
      const aged = agedBy(from, policy.parts, facts.atNs, world.asOf)
      from = aged.from
      if (aged.stale !== undefined) return faultOf(from, 'policy_data_stale', aged.stale)
    }
    try {
      const text = policyInputText(facts)
      if (use.http && world.http && !recorded) {
        const evaluation = evaluateAsking(
          (given) => policy.evaluateText(use.entrypoint, text, facts.atNs, given),
          senderOf(world.http, use.http),
        )
        if (!(evaluation instanceof Promise)) return decisionOf(from, evaluation)
        return evaluation.then(
          (answer) => decisionOf(from, answer),
          (thrown: unknown) => faultOf(from, 'policy_error', messageOf(thrown)),
        )
      }
      return decisionOf(from, policy.evaluateText(use.entrypoint, text, facts.atNs, recorded && givenBy(recorded)))
    } catch (thrown) {
      return faultOf(from, 'policy_error', messageOf(thrown))
    }
  }
}

function decisionOf(by: ByPolicy, answer: Evaluation): Decision {
  const from = answer.world === undefined ? by : { ...by, world: answer.world }
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
}

const faultOf = (from: DecidedBy, code: DecisionFault, detail: string): Decision => ({
  verdict: 'fault',
  code,
  from,
  reasons: [boundedReason(detail)],
})
