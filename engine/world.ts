/** What the world answers a policy while it judges, as OPA notes it in `nd_builtin_cache`: so that a replay can repeat it. */

import { sha256 } from '@noble/hashes/sha2.js'
import { toHex, utf8 } from '../core/bytes.ts'
import type { WorldAnswers } from '../core/decision.ts'
import type { Json } from '../core/json.ts'
import type { RecordedAnswers } from '../core/ports.ts'
import { formatJson, objectOf, parseJsonValue, RegoObject, toJson, type Value } from './value.ts'

/** Builtins whose answers do not follow from the request, its time and the bundle, or not from what a record keeps of them. */
export const worldBuiltins: ReadonlySet<string> = new Set([
  'http.send',
  'net.lookup_ip_addr',
  'rand.intn',
  'uuid.rfc4122',
])

/** An answer that is at hand already; undefined where the builtin is to be asked. Throws where the evaluation must end. */
export type Given = (name: string, args: readonly Value[]) => { readonly value: Value | undefined } | undefined

/** Headers of a request that say nothing secret. */
const open: ReadonlySet<string> = new Set(['accept', 'accept-language', 'content-type', 'user-agent'])

/**
 * Arguments as one text, by which an answer is found again: a JSON array, as OPA has it. It stands in the log, so of
 * headers that may hold a token there is a digest.
 */
export const argsText = (name: string, args: readonly Value[]): string =>
  formatJson(name === 'http.send' ? args.map(withoutSecrets) : args)

function withoutSecrets(request: Value): Value {
  const headers = request instanceof RegoObject ? request.get('headers') : undefined
  if (!(request instanceof RegoObject) || !(headers instanceof RegoObject)) return request
  const shown = headers.entries.map(([name, value]): [Value, Value] =>
    typeof name === 'string' && open.has(name.toLowerCase()) ? [name, value] : [name, digestOf(value)],
  )
  return objectOf(request.entries.map(([name, value]) => [name, name === 'headers' ? objectOf(shown) : value]))
}

const digestOf = (value: Value): string => `sha256:${toHex(sha256(utf8(formatJson(value)))).slice(0, 16)}`

/** Answers of a record. What it lacks ends the evaluation: whoever asks has noted that by then. */
export function givenBy(recorded: RecordedAnswers): Given {
  return (name, args) => {
    const answer = recorded(name, argsText(name, args))
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
      const key = argsText(name, args)
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
