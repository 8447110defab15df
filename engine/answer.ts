/**
 * Reads what a rule answered out of a policy's memory. In OPA's value syntax, not in the JSON that OPA writes, where a set
 * stands in the order of its hash table. Most policies give few answers again and again: their bytes are known then.
 */

import type { WorldAnswers } from '../core/decision.ts'
import type { Json } from '../core/json.ts'
import { itemsOf } from './builtins/operand.ts'
import { frozen } from './frozen.ts'
import { parseValue, RegoObject, stringOfBytes, toJson, type Value } from './value.ts'

export type Answer =
  | { readonly kind: 'value'; readonly value: Json }
  | { readonly kind: 'undefined' }
  | { readonly kind: 'error'; readonly detail: string }
  | { readonly kind: 'limit'; readonly detail: string }

/** `Evaluated` of core, with the faults that an evaluation can have. */
export type Evaluation = (
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly fault: EvaluationFault; readonly detail: string }
) & {
  /** What builtins were answered by the world. */
  readonly world?: WorldAnswers | 'dropped'
}

export type EvaluationFault = 'policy_undefined' | 'policy_error' | 'policy_limit'

/** Reads the result set that is written at an address, in value syntax and up to its NUL. */
export type ReadAnswer = (memory: Uint8Array, at: number) => Answer

/** Answers that are remembered, and the longest, in bytes. Once there are more, all are forgotten. */
const maxKnown = 256
const maxLength = 1024

export function makeReadAnswer(): ReadAnswer {
  const known = new Map<number, { readonly bytes: Uint8Array; readonly answer: Answer }>()
  return (memory, at) => {
    let hash = 0x811c9dc5 // FNV-1a; equal bytes are compared, so what it misses costs time only.
    let end = at
    for (let byte = memory[end]!; byte !== 0; byte = memory[++end]!) hash = Math.imul(hash ^ byte, 0x01000193)
    const before = known.get(hash)
    if (before && isSame(memory, at, end, before.bytes)) return before.answer
    const bytes = memory.slice(at, end)
    const answer = frozen(parseAnswer(stringOfBytes(bytes)))
    if (bytes.length > maxLength) return answer
    if (known.size >= maxKnown) known.clear()
    known.set(hash, { bytes, answer })
    return answer
  }
}

function isSame(memory: Uint8Array, at: number, end: number, bytes: Uint8Array): boolean {
  if (end - at !== bytes.length) return false
  for (let i = 0; i < bytes.length; i++) if (memory[at + i] !== bytes[i]) return false
  return true
}

/** A result set is `{{"result": value}}`, or empty where the rule is undefined. */
function parseAnswer(text: string): Answer {
  try {
    const one = JSON.parse(text.slice(1, -1)) as { readonly result: Json }
    return { kind: 'value', value: one.result }
  } catch {
    return answerOf(itemsOf(parseValue(text))) // With sets, keys that are no text, or numbers such as .5.
  }
}

/** The one result of a rule as JSON. */
export function answerOf(results: readonly Value[]): Answer {
  const [first] = results
  if (first === undefined) return { kind: 'undefined' }
  const value = first instanceof RegoObject ? first.get('result') : undefined
  return value === undefined
    ? { kind: 'error', detail: 'a result without a value' }
    : { kind: 'value', value: toJson(value) }
}
