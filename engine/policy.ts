/** Opens one revision of a policy: module, data and name in, a function of entry point and input out. */

import { utf8 } from '../core/bytes.ts'
import type { Decision } from '../core/decision.ts'
import type { RequestFacts } from '../core/facts.ts'
import { WritError } from '../core/fault.ts'
import { wholeInput } from '../core/input-path.ts'
import { isObject, type Json } from '../core/json.ts'
import type { InputPath, PolicyRef } from '../core/policy.ts'
import type { NowNs } from '../core/ports.ts'
import { parseTime } from '../core/time.ts'
import { type Answer, answerOf, type Evaluation, type EvaluationFault } from './answer.ts'
import type { BuiltinHost } from './builtins/builtin.ts'
import { type CacheLimits, makeCache } from './cache.ts'
import type { DataPart } from './data.ts'
import { openInstance, seedOf } from './instance.ts'
import { type Judge, makeJudge } from './judge.ts'
import { plainJson, tooLong } from './plain.ts'
import type { Reads } from './reads.ts'
import { type Given, makeNotes } from './world.ts'

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
  /**
   * What an entry point decides about a request; remembered, where nothing but what it reads could change it, and never
   * with `given`, which answers for the world. Never throws.
   */
  judge(entrypoint: string, facts: RequestFacts, given?: Given): Decision
  /** Whether it calls builtins whose answers are the world's. */
  readonly asksWorld: boolean
  /** What an entry point may read of its input. */
  reads(entrypoint: string): readonly InputPath[]
  /** WebAssembly memory that it holds now, in bytes. */
  memoryBytes(): number
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
  /** Decisions that are remembered. */
  readonly cache?: CacheLimits
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
  /** What each entry point may read of its input. Default all of it, and then no decision is remembered. */
  readonly reads?: Reads
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
  const evaluateText = (
    entrypoint: string,
    input: string,
    atNs: bigint,
    given?: Given,
    whole: () => string = () => input,
  ): Evaluation => {
    const fault = unknown(entrypoint)
    if (fault) return fault
    if (input.length > limits.maxBytes) return unjudged(tooLong)
    if (3 * input.length > limits.maxBytes && utf8(input).length > limits.maxBytes) return unjudged(tooLong)
    const seed = (): Uint8Array => seedOf(atNs, utf8(whole()))
    const answer = instance.askText(entrypoint, input, { nowNs: atNs, seed, record: notes.record, given })
    const evaluation = evaluationOf(answer, entrypoint)
    const world = notes.take()
    return world === undefined ? evaluation : { ...evaluation, world }
  }
  const reads = (entrypoint: string): readonly InputPath[] => source.reads?.get(entrypoint) ?? wholeInput
  const cache = makeCache(source.cache)
  const from = { by: 'policy', policy: source.ref } as const
  const judgeOf = (entrypoint: string): Judge =>
    makeJudge({
      from,
      reads: reads(entrypoint),
      cache,
      name: `${judges.size} `,
      evaluate: (input, atNs, given, whole) => evaluateText(entrypoint, input, atNs, given, whole),
      wasSteady: instance.wasSteady,
    })
  const judges = new Map<string, Judge>()
  for (const entrypoint of instance.entrypoints) judges.set(entrypoint, judgeOf(entrypoint))

  return {
    ref: source.ref,
    entrypoints: instance.entrypoints,
    ...(source.parts && { parts: source.parts }),
    reads,
    memoryBytes: instance.memoryBytes,
    // One that is not there is a fault, which says so.
    judge: (entrypoint, facts, given) => (judges.get(entrypoint) ?? judgeOf(entrypoint))(facts, given),
    asksWorld: instance.asksWorld,
    evaluate(entrypoint, input, atNs = requestTime(input) ?? source.now()) {
      const plain = plainJson(input, limits)
      const fault = unknown(entrypoint)
      if (fault) return fault
      if (!plain.ok) return unjudged(plain)
      const answer = instance.askExactly(entrypoint, plain.bytes, { nowNs: atNs })
      return evaluationOf(answer.kind === 'results' ? answerOf(answer.results) : answer, entrypoint)
    },
    evaluateText: (entrypoint, input, atNs, given) => evaluateText(entrypoint, input, atNs, given),
  }
}

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
