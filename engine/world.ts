/** What the world answers a policy while it judges, as OPA notes it in `nd_builtin_cache`: so that a replay can repeat it. */

import type { WorldAnswers } from '../core/decision.ts'
import type { Json } from '../core/json.ts'
import type { RecordedAnswers } from '../core/ports.ts'
import { formatJson, parseJsonValue, toJson, type Value } from './value.ts'

/** Builtins whose answers do not follow from the request, its time and the bundle, or not from what a record keeps of them. */
export const worldBuiltins: ReadonlySet<string> = new Set([
  'http.send',
  'net.lookup_ip_addr',
  'rand.intn',
  'uuid.rfc4122',
])

/** An answer that is at hand already; undefined where the builtin is to be asked. Throws where the evaluation must end. */
export type Given = (name: string, args: readonly Value[]) => { readonly value: Value | undefined } | undefined

/** Arguments as one text, by which an answer is found again: a JSON array, as OPA has it. */
export const argsText = (args: readonly Value[]): string => formatJson(args)

/** Answers of a record. What it lacks ends the evaluation: whoever asks has noted that by then. */
export function givenBy(recorded: RecordedAnswers): Given {
  return (name, args) => {
    const answer = recorded(name, argsText(args))
    if (answer === undefined) throw new Error(`no record holds what ${name} answered`)
    return { value: answer === null ? undefined : parseJsonValue(JSON.stringify(answer)) }
  }
}

/** Most answers of one evaluation that are noted; with more, none are. */
const maxAnswers = 256

export interface WorldNotes {
  readonly record: (name: string, args: readonly Value[], result: Value | undefined) => void
  /** What was noted since the last time; undefined where that is nothing. */
  take(): WorldAnswers | 'dropped' | undefined
}

export function makeNotes(): WorldNotes {
  let noted: Map<string, Map<string, Json>> | undefined
  let count = 0
  return {
    record(name, args, result) {
      if (!worldBuiltins.has(name) || count > maxAnswers) return
      noted ??= new Map()
      const answers = noted.get(name) ?? new Map<string, Json>()
      noted.set(name, answers)
      const key = argsText(args)
      if (!answers.has(key)) count++
      answers.set(key, result === undefined ? null : toJson(result))
    },
    take() {
      if (!noted) return undefined
      const answers = Object.fromEntries([...noted].map(([name, of]) => [name, Object.fromEntries(of)]))
      const dropped = count > maxAnswers
      noted = undefined
      count = 0
      return dropped ? 'dropped' : answers
    },
  }
}
