/** One rule of one opened policy, asked about requests: writes what it reads, reads its answer, remembers decisions. */

import type { DecidedBy, Decision, DecisionFault } from '../core/decision.ts'
import type { RequestFacts } from '../core/facts.ts'
import { messageOf } from '../core/fault.ts'
import { inputKey } from '../core/input-key.ts'
import { inputWriter, policyInputText } from '../core/input-text.ts'
import type { InputPath } from '../core/policy.ts'
import type { Evaluation } from './answer.ts'
import type { DecisionCache } from './cache.ts'
import { boundedReason, readResult } from './result.ts'
import type { Given } from './world.ts'

/** Never throws. With `given`, which answers for the world, nothing is remembered. */
export type Judge = (facts: RequestFacts, given?: Given) => Decision

export type ByPolicy = Extract<DecidedBy, { readonly by: 'policy' }>

export interface Judged {
  readonly from: ByPolicy
  readonly reads: readonly InputPath[]
  /** Its decisions, where it may remember them. */
  readonly cache: DecisionCache | undefined
  /** Begins its keys, where several rules share a cache. */
  readonly name: string
  /** `whole` is the input as a whole, which chance follows from. */
  evaluate(input: string, atNs: bigint, given: Given | undefined, whole: () => string): Evaluation
  /** Whether the evaluation before would have had the same answer at any time, whatever the world had said. */
  wasSteady(): boolean
}

export function makeJudge(judged: Judged): Judge {
  const write = inputWriter(judged.reads)
  const judge: Judge = (facts, given) => {
    try {
      const answer = judged.evaluate(write(facts), facts.atNs, given, () => policyInputText(facts))
      return decisionOf(judged.from, answer)
    } catch (thrown) {
      return faultOf(judged.from, 'policy_error', messageOf(thrown))
    }
  }
  const key = judged.cache && inputKey(judged.reads)
  return key ? remembering(judged, key, judge) : judge
}

function remembering({ cache, name, wasSteady }: Judged, keyOf: (facts: RequestFacts) => string, judge: Judge): Judge {
  return (facts, given) => {
    if (given) return judge(facts, given)
    const key = name + keyOf(facts)
    const known = cache!.get(key)
    if (known) return known
    const decision = judge(facts)
    if (isKept(decision) && wasSteady()) cache!.add(key, decision)
    return decision
  }
}

/** What failed may not fail again: an error can come of a state that passes. */
const isKept = ({ code }: Decision): boolean => code !== 'policy_error' && code !== 'policy_limit'

export function decisionOf(by: ByPolicy, answer: Evaluation): Decision {
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

export const faultOf = (from: DecidedBy, code: DecisionFault, detail: string): Decision => ({
  verdict: 'fault',
  code,
  from,
  reasons: [boundedReason(detail)],
})
