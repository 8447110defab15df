/** May this request pass? Finds the policy and asks it; where there is none, or what it decides by is too old, that is a fault. */

import { type DecidedBy, type Decision, fault } from '../core/decision.ts'
import type { RequestFacts } from '../core/facts.ts'
import { messageOf } from '../core/fault.ts'
import { policyInputText } from '../core/input-text.ts'
import type { PolicyUse } from '../core/policy.ts'
import type { Decide, RecordedAnswers } from '../core/ports.ts'
import { evaluateAsking } from './asking.ts'
import { type AsOf, agedBy } from './data.ts'
import { type HttpTransport, senderOf } from './http-send.ts'
import { type ByPolicy, decisionOf, faultOf } from './judge.ts'
import type { Policies } from './policies.ts'
import type { Policy } from './policy.ts'
import { boundedReason } from './result.ts'
import { givenBy } from './world.ts'

export interface DecideWorld {
  /** Tells the age of data that is fetched beside the rules. Default nobody knows. */
  readonly asOf?: AsOf
  /** Sends what a policy asks by `http.send`, where its binding allows that. Default nothing is sent. */
  readonly http?: HttpTransport
}

export function makeDecide(policies: Pick<Policies, 'get'>, world: DecideWorld = {}): Decide {
  return (facts, use, recorded) => {
    if (!use) return fault('policy_missing', 'no policy is bound to this listener')
    const policy = policies.get(use.bundle)
    if (!policy) return fault('policy_missing', boundedReason(`policy ${use.bundle} is not loaded`))
    if (!policy.parts) return judge(policy, use, facts, world, recorded)
    const { from, stale } = agedBy({ by: 'policy', policy: policy.ref }, policy.parts, facts.atNs, world.asOf)
    if (stale !== undefined) return faultOf(from, 'policy_data_stale', stale)
    const decision = judge(policy, use, facts, world, recorded)
    return decision instanceof Promise ? decision.then((settled) => naming(from, settled)) : naming(from, decision)
  }
}

function judge(
  policy: Policy,
  use: PolicyUse,
  facts: RequestFacts,
  { http }: DecideWorld,
  recorded: RecordedAnswers | undefined,
): Decision | Promise<Decision> {
  // What asks the world is never remembered: not even that it was answered so.
  if (!policy.asksWorld) return policy.judge(use.entrypoint, facts)
  if (recorded) return policy.judge(use.entrypoint, facts, givenBy(recorded))
  return use.http && http ? asking(policy, use, facts, http, use.http) : policy.judge(use.entrypoint, facts)
}

function asking(
  policy: Policy,
  { entrypoint }: PolicyUse,
  facts: RequestFacts,
  transport: HttpTransport,
  allowance: NonNullable<PolicyUse['http']>,
): Decision | Promise<Decision> {
  const from: ByPolicy = { by: 'policy', policy: policy.ref }
  const failed = (thrown: unknown): Decision => faultOf(from, 'policy_error', messageOf(thrown))
  try {
    const text = policyInputText(facts)
    const evaluation = evaluateAsking(
      (given) => policy.evaluateText(entrypoint, text, facts.atNs, given),
      senderOf(transport, allowance),
    )
    if (!(evaluation instanceof Promise)) return decisionOf(from, evaluation)
    return evaluation.then((answer) => decisionOf(from, answer), failed)
  } catch (thrown) {
    return failed(thrown)
  }
}

/** The same decision, which names the data that it was made by. */
function naming(by: ByPolicy, decision: Decision): Decision {
  const { from } = decision
  if (from.by !== 'policy') return decision
  const named: DecidedBy = from.world === undefined ? by : { ...by, world: from.world }
  return { ...decision, from: named }
}
