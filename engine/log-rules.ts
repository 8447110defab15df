/** OPA's rules about its log, `data.system.log.mask` and `data.system.log.drop`, asked of the bundle that decides. */

import { utf8 } from '../core/bytes.ts'
import { canonicalJson, isObject, type Json } from '../core/json.ts'
import type { LogRules } from '../core/ports.ts'
import type { DecisionBody, MaskFault } from '../core/record.ts'
import { formatTime } from '../core/time.ts'
import { applyMask, type Maskable } from './mask.ts'
import type { Policies } from './policies.ts'
import type { Policy } from './policy.ts'

/** Entry points that a bundle has where its policy has such rules. */
export const maskEntrypoint = 'system/log/mask'
export const dropEntrypoint = 'system/log/drop'

/** Longest of what a mask may leave, in bytes of JSON, so that it still fits a record. */
const maxLeftBytes = 54_000

/** A bundle that is not loaded, or that has no such rules, leaves records as they are. */
export function makeLogRules(policies: Pick<Policies, 'get'>): LogRules {
  return (body, use, atNs) => {
    const policy = policies.get(use.bundle)
    const masks = policy?.entrypoints.includes(maskEntrypoint) === true
    const drops = policy?.entrypoints.includes(dropEntrypoint) === true
    if (!policy || !(masks || drops)) return { body, drop: false }
    const event = eventOf(body, atNs)
    // As OPA: whether it is dropped is asked about the event as it is, before it is masked.
    return { drop: drops && isDropped(policy, event, atNs), body: masks ? masked(policy, body, event, atNs) : body }
  }
}

/** What the rules see: the record under OPA's names. Of the policy's result it has what a record has of it. */
const eventOf = (body: DecisionBody, atNs: bigint): Json => ({
  ...(body as unknown as { readonly [name: string]: Json }),
  result: resultOf(body),
  timestamp: formatTime(atNs),
})

const resultOf = ({ verdict, reasons }: DecisionBody): Json => ({ allow: verdict === 'allow', reasons })

/** What cannot be told is kept. */
function isDropped(policy: Policy, event: Json, atNs: bigint): boolean {
  try {
    const answer = policy.evaluate(dropEntrypoint, event, atNs)
    return answer.ok && answer.value === true
  } catch {
    return false
  }
}

function masked(policy: Policy, body: DecisionBody, event: Json, atNs: bigint): DecisionBody {
  try {
    const answer = policy.evaluate(maskEntrypoint, event, atNs)
    if (!answer.ok) return answer.fault === 'policy_undefined' ? body : withheld(body, 'evaluation')
    const { input, nd_builtin_cache } = body
    const parts = {
      input,
      result: resultOf(body),
      ...(nd_builtin_cache && { nd_builtin_cache: nd_builtin_cache as Json }),
    }
    const { parts: left, erased, masked } = applyMask(answer.value, parts)
    if (erased.length + masked.length === 0) return body
    if (!fits(left)) return withheld(body, 'size')
    return {
      ...without(body),
      input: left.input ?? {},
      reasons: reasonsOf(left.result),
      ...(isObject(left.nd_builtin_cache) && {
        nd_builtin_cache: left.nd_builtin_cache as NonNullable<DecisionBody['nd_builtin_cache']>,
      }),
      ...(erased.length > 0 && { erased }),
      ...(masked.length > 0 && { masked }),
    }
  } catch {
    return withheld(body, 'rules')
  }
}

/** Nobody knows what was to be hidden, so all that a mask could have named is. */
function withheld(body: DecisionBody, fault: MaskFault): DecisionBody {
  const erased = ['/input', ...(body.nd_builtin_cache ? ['/nd_builtin_cache'] : []), '/result']
  return { ...without(body), input: {}, reasons: [], erased, mask_fault: fault }
}

function without(body: DecisionBody): DecisionBody {
  const { nd_builtin_cache: _, ...rest } = body
  return rest
}

const fits = ({ input = null, nd_builtin_cache = null, result = null }: Maskable): boolean =>
  [input, nd_builtin_cache, result].reduce<number>((sum, part) => sum + utf8(canonicalJson(part)).length, 0) <=
  maxLeftBytes

/** The verdict stays that of the record; a mask can hide what was said about it. */
function reasonsOf(result: Json | undefined): readonly string[] {
  const reasons = isObject(result) ? result['reasons'] : undefined
  return Array.isArray(reasons) ? reasons.filter((reason) => typeof reason === 'string') : []
}
