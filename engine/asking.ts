/**
 * Evaluates a policy that calls `http.send`. An evaluation does not wait: where it asks for an answer that is not there
 * yet, it ends, the answer is fetched, and it begins anew with that, at the same time and with the same randomness.
 */

import type { Evaluation } from './answer.ts'
import { formatValue, type Value } from './value.ts'
import type { Given } from './world.ts'

/** What a request brought: OPA's answer, undefined where OPA has none, or why the request may not be sent at all. */
export type Sent =
  | { readonly ok: true; readonly value: Value | undefined }
  | { readonly ok: false; readonly why: string }

/** Requests of one decision at most. */
const maxRequests = 8

/** Resolves at once where nothing is asked. */
export function evaluateAsking(
  evaluate: (given: Given) => Evaluation,
  send: (request: Value) => Promise<Sent>,
): Evaluation | Promise<Evaluation> {
  const answers = new Map<string, Value | undefined>()
  let wanted: { readonly key: string; readonly request: Value } | undefined
  const given: Given = (name, args) => {
    if (name !== 'http.send') return undefined
    const key = formatValue(args)
    if (answers.has(key)) return { value: answers.get(key) }
    wanted = { key, request: args[0] ?? null }
    throw new Error('it waits for an answer')
  }
  const once = (): Evaluation => {
    wanted = undefined
    return evaluate(given)
  }
  const first = once()
  return wanted ? again() : first

  async function again(): Promise<Evaluation> {
    let evaluation = first
    while (wanted) {
      if (answers.size === maxRequests) {
        return { ok: false, fault: 'policy_limit', detail: `http.send: more than ${maxRequests} requests` }
      }
      const { key, request } = wanted
      const sent = await send(request)
      if (!sent.ok) return { ok: false, fault: 'policy_error', detail: `http.send: ${sent.why}` }
      answers.set(key, sent.value)
      evaluation = once()
    }
    return evaluation
  }
}
