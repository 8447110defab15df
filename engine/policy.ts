/** Opens one revision of a policy: module, data and name in, a function of entry point and input out. */

import type { WorldAnswers } from '../core/decision.ts'
import { WritError } from '../core/fault.ts'
import { isObject, type Json } from '../core/json.ts'
import type { PolicyRef } from '../core/policy.ts'
import type { NowNs } from '../core/ports.ts'
import { parseTime } from '../core/time.ts'
import type { BuiltinHost } from './builtins/builtin.ts'
import type { DataPart } from './data.ts'
import { type Answer, answerOf, openInstance } from './instance.ts'
import { plainJson, tooLong } from './plain.ts'
import { type Given, makeNotes } from './world.ts'

/** `Evaluated` of core, with the faults that an evaluation can have. */
export type Evaluation = (
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly fault: EvaluationFault; readonly detail: string }
) & {
  /** What builtins were answered by the world. */
  readonly world?: WorldAnswers | 'dropped'
}

export type EvaluationFault = 'policy_undefined' | 'policy_error' | 'policy_limit'

export interface Policy {
  readonly ref: PolicyRef
  readonly entrypoints: readonly string[]
  /** Data that was fetched beside the rules. Default none. */
  readonly parts?: readonly Omit<DataPart, 'value'>[]
  /**
   * Never throws. `atNs` is the time that the policy sees; left out, it is the request's own time where the input has
   * one (`attributes.request.time`), so that a replay sees what was seen then, and the clock's where it has none.
   * Sets come as arrays in OPA's order.
   */
  evaluate(entrypoint: string, input: Json, atNs?: bigint): Evaluation
  /**
   * The same for an input that is JSON text already, by one of our own writers, and no deeper than they go. With `given`
   * the answer is that to those answers of the world, and may be kept for no other call.
   */
  evaluateText(entrypoint: string, input: string, atNs: bigint, given?: Given): Evaluation
}

export interface PolicyLimits {
  /**
   * Memory that one policy may hold, in bytes; an evaluation that needs more is a fault. Default 256 MiB. Beside it
   * stands an image of what it held when its data had been read.
   */
  readonly maxMemoryBytes?: number
  /**
   * Steps of work that one evaluation may take, counted alike on every machine: turns of loops, calls, and bytes that
   * builtins read and write. One that needs more is a fault. Default 10 million, twice what it takes to read an
   * input of 1 MiB and to answer with it: 0.1 to 2 s. The bank's policy takes 1600 in 8 µs.
   */
  readonly maxWork?: number
  /** Arrays and objects within each other in an input. Default 64. */
  readonly maxInputDepth?: number
  /** Length of an input as JSON, in bytes. Default 1 MiB. */
  readonly maxInputBytes?: number
}

export interface PolicySource extends PolicyLimits {
  readonly ref: PolicyRef
  /** Compiled from what `prepareModule` returned. */
  readonly module: WebAssembly.Module
  /** The bundle's own with all that was fetched beside it, which `parts` names. */
  readonly data: Json
  readonly parts?: readonly Omit<DataPart, 'value'>[]
  readonly now: NowNs
  /** What builtins may ask of the world. Default nothing: a policy that calls such a builtin is refused. */
  readonly host?: BuiltinHost
}

const maxDataDepth = 128
const maxDataBytes = 128 * 1024 ** 2

/** Throws `policy_invalid`. What is returned has run each entry point once, so that no request waits for compilation. */
export function openPolicy(source: PolicySource): Policy {
  const limits = { maxDepth: source.maxInputDepth ?? 64, maxBytes: source.maxInputBytes ?? 1024 ** 2 }
  const data = plainJson(source.data, { maxDepth: maxDataDepth, maxBytes: maxDataBytes })
  if (!data.ok || !isObject(source.data)) {
    throw new WritError('policy_invalid', `data of policy ${source.ref.bundle}: ${data.ok ? 'no object' : data.wrong}`)
  }
  const { maxMemoryBytes = 256 * 1024 ** 2, maxWork = 10_000_000 } = source
  const instance = openInstance(source.module, data.bytes, { maxMemoryBytes, maxWork }, source.host)
  const nothing = new TextEncoder().encode('{}')
  for (const entrypoint of instance.entrypoints) instance.ask(entrypoint, nothing, 0n)

  const unknown = (entrypoint: string): Evaluation | undefined =>
    instance.entrypoints.includes(entrypoint)
      ? undefined
      : fault('policy_undefined', `policy ${source.ref.bundle} has no entry point ${entrypoint}`)
  const notes = makeNotes()
  const ask = (entrypoint: string, input: Uint8Array, atNs: bigint, given: Given | undefined): Evaluation => {
    const evaluation = evaluationOf(instance.ask(entrypoint, input, atNs, notes.record, given), entrypoint)
    const world = notes.take()
    return world === undefined ? evaluation : { ...evaluation, world }
  }
  let room = new Uint8Array(8192)

  return {
    ref: source.ref,
    entrypoints: instance.entrypoints,
    ...(source.parts && { parts: source.parts }),
    evaluate(entrypoint, input, atNs = requestTime(input) ?? source.now()) {
      const plain = plainJson(input, limits)
      const fault = unknown(entrypoint)
      if (fault) return fault
      if (!plain.ok) return unjudged(plain)
      const answer = instance.askExactly(entrypoint, plain.bytes, { nowNs: atNs })
      return evaluationOf(answer.kind === 'results' ? answerOf(answer.results) : answer, entrypoint)
    },
    evaluateText(entrypoint, input, atNs, given) {
      const fault = unknown(entrypoint)
      if (fault) return fault
      if (input.length > limits.maxBytes) return unjudged(tooLong)
      if (room.length < 3 * input.length) room = new Uint8Array(6 * input.length) // Three bytes a character at most.
      const { written } = encoder.encodeInto(input, room)
      return written > limits.maxBytes ? unjudged(tooLong) : ask(entrypoint, room.subarray(0, written), atNs, given)
    },
  }
}

const encoder = new TextEncoder()

const unjudged = ({ limit, wrong }: { readonly limit: boolean; readonly wrong: string }): Evaluation =>
  fault(limit ? 'policy_limit' : 'policy_error', `the input cannot be judged: ${wrong}`)

function evaluationOf(answer: Answer, entrypoint: string): Evaluation {
  switch (answer.kind) {
    case 'value':
      return { ok: true, value: answer.value }
    case 'undefined':
      return fault('policy_undefined', `${entrypoint} is undefined`)
    case 'limit':
      return fault('policy_limit', answer.detail)
    case 'error':
      return fault('policy_error', answer.detail)
  }
}

const fault = (code: EvaluationFault, detail: string): Evaluation => ({ ok: false, fault: code, detail })

/** `attributes.request.time`, as `policyInput` and `recordedInput` both write it. */
function requestTime(input: Json): bigint | undefined {
  const attributes = isObject(input) ? input['attributes'] : undefined
  const request = isObject(attributes) ? attributes['request'] : undefined
  const time = isObject(request) ? request['time'] : undefined
  return typeof time === 'string' ? parseTime(time) : undefined
}
