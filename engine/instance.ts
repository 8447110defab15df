/**
 * One running policy. It speaks OPA's Wasm ABI by itself: @open-policy-agent/opa-wasm takes false, null and bytes for no
 * input at all, cannot tell an unreadable input from an undefined answer, dies after 512 errors, hands builtins JSON,
 * which has no sets, and ends the evaluation at what OPA calls undefined.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { concat, utf8 } from '../core/bytes.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { type Answer, makeReadAnswer } from './answer.ts'
import { type BuiltinContext, type BuiltinHost, LimitError } from './builtins/builtin.ts'
import { makeContext } from './builtins/context.ts'
import { builtins, isAvailable } from './builtins/index.ts'
import { itemsOf } from './builtins/operand.ts'
import { makePatternCache } from './builtins/patterns.ts'
import {
  giveWork,
  heapSlackBytes,
  imageOf,
  isWorkSpent,
  type LoadedPolicy,
  loadImage,
  loadModule,
  memoryOf,
  PolicyAbort,
  type PolicyHost,
  pageBytes,
  put,
  restored,
  spendWork,
  takeValue,
} from './load.ts'
import { memorySectionName, readMemoryNote, stackPointerName } from './module.ts'
import type { Value } from './value.ts'
import { type Given, worldBuiltins } from './world.ts'

/** All results of an entry point, exactly: of a rule one `{"result": value}`, or none where it is undefined. */
export type ExactAnswer =
  | Extract<Answer, { readonly kind: 'error' | 'limit' }>
  | { readonly kind: 'results'; readonly results: readonly Value[] }

export interface Instance {
  readonly entrypoints: readonly string[]
  /** Asks one entry point. `nowNs` is what `time.now_ns` answers, however often it is asked. Never throws. */
  ask(entrypoint: string, inputJson: Uint8Array, nowNs: bigint): Answer
  /** The same for an input that is text. */
  askText(entrypoint: string, inputJson: string, evaluation: TextEvaluation): Answer
  /** The same with the answer as a value, and with an input in OPA's value syntax; none where it is left out. */
  askExactly(entrypoint: string, input: Uint8Array | undefined, evaluation: Evaluation): ExactAnswer
  /** Whether the evaluation before asked for neither time nor chance, nor for anything of the world. */
  wasSteady(): boolean
  /** Whether it calls builtins whose answers are the world's. */
  readonly asksWorld: boolean
  /** Memory that the policy holds now, in bytes. */
  memoryBytes(): number
}

export interface Evaluation {
  readonly nowNs: bigint
  /** What `rand.intn` and `uuid.rfc4122` follow from. Default: a hash of time and input, so that a replay repeats them. */
  readonly seed?: Uint8Array
  /** Hears what builtins were answered by the world: what OPA's decision log calls `nd_builtin_cache`. */
  readonly record?: ((name: string, args: readonly Value[], result: Value | undefined) => void) | undefined
  /** Answers of the world that are at hand already. */
  readonly given?: Given | undefined
}

/** `seed` is asked for when something is drawn. */
export type TextEvaluation = Omit<Evaluation, 'seed'> & { readonly seed: () => Uint8Array }

/** What all randomness follows from where nobody says. */
export const seedOf = (nowNs: bigint, input: Uint8Array): Uint8Array => sha256(concat(utf8(`${nowNs} `), input))

/**
 * Memory that an evaluation may leave behind beyond what the policy had at first, in bytes. WebAssembly gives none back:
 * where more is left, the instance makes way for a new one.
 */
const memorySlackBytes = 32 * 1024 ** 2

export interface InstanceLimits {
  /** Memory that the policy may hold, in bytes. */
  readonly maxMemoryBytes: number
  /** Steps that one evaluation may take; see wasm/meter.ts. */
  readonly maxWork: number
}

/** Loads a prepared module with its data. Throws `policy_invalid` when it cannot be run here. */
export function openInstance(
  module: WebAssembly.Module,
  dataJson: Uint8Array,
  { maxMemoryBytes, maxWork }: InstanceLimits,
  host: BuiltinHost = {},
): Instance {
  const memory = { initial: memoryNote(module), maximum: Math.floor(maxMemoryBytes / pageBytes) }
  const work = BigInt(maxWork)
  const patterns = makePatternCache()
  let running: TextEvaluation | undefined
  let context: BuiltinContext | undefined
  const policyHost: PolicyHost = {
    builtins,
    context: () => (context ??= contextOf(running!)), // Most evaluations need none.
  }
  const contextOf = (of: TextEvaluation): BuiltinContext => {
    const spend = (steps: number): void => spendWork(loaded!, steps)
    return makeContext({ ...of, spend, asked: () => void (steady = false) }, patterns, host)
  }
  const readAnswer = makeReadAnswer()
  let steady = true

  let loaded: LoadedPolicy | undefined = firstLoad(() => loadModule(module, { ...memory }, dataJson, policyHost), host)
  const image = imageOf(loaded)

  function run<T>(of: TextEvaluation, evaluate: (policy: LoadedPolicy) => T): T | Failed {
    running = of
    context = undefined
    steady = true
    try {
      loaded ??= loadImage(module, { ...memory }, image, policyHost)
    } catch (thrown) {
      return { kind: 'limit', detail: `the policy could not be loaded again: ${textOf(thrown)}` }
    }
    const policy = loaded
    const { exports } = policy
    const stackPointer = exports[stackPointerName].value
    giveWork(policy, work)
    try {
      return evaluate(policy)
    } catch (thrown) {
      const detail = isWorkSpent(policy) ? `more than ${maxWork} steps of work` : textOf(thrown)
      if (isTrap(thrown)) {
        loaded = restored(policy, image) // Its memory may be anything now.
        return { kind: 'limit', detail: `the evaluation was stopped: ${detail}` }
      }
      exports[stackPointerName].value = stackPointer
      giveWork(policy, work)
      exports.opa_heap_ptr_set(policy.dataHeapPtr) // Whatever was half built goes.
      return thrown instanceof LimitError
        ? { kind: 'limit', detail: `the evaluation was stopped: ${detail}` }
        : { kind: 'error', detail }
    } finally {
      if (policy.mem.buffer.byteLength > image.memoryBytes + memorySlackBytes) loaded = undefined
    }
  }

  function answer(policy: LoadedPolicy, entrypoint: string, input: Uint8Array | string): Answer {
    const result = evaluate(policy, entrypoint, input, 'opa_json_parse')
    if (result === undefined) return { kind: 'undefined' }
    const at = policy.exports.opa_value_dump(result)
    return readAnswer(memoryOf(policy), at)
  }

  return {
    entrypoints: Object.keys(image.of.entrypoints),
    memoryBytes: () => loaded?.mem.buffer.byteLength ?? 0,
    wasSteady: () => steady,
    asksWorld: [...image.of.called.values()].some((name) => worldBuiltins.has(name)),
    ask: (entrypoint, input, nowNs) =>
      run({ nowNs, seed: () => seedOf(nowNs, input) }, (policy) => answer(policy, entrypoint, input)),
    askText: (entrypoint, input, evaluation) => run(evaluation, (policy) => answer(policy, entrypoint, input)),
    askExactly(entrypoint, input, { seed, ...evaluation }) {
      const from = (): Uint8Array => seed ?? seedOf(evaluation.nowNs, input ?? noBytes)
      return run({ ...evaluation, seed: from }, (policy) => {
        const result = evaluate(policy, entrypoint, input, 'opa_value_parse')
        return { kind: 'results', results: result === undefined ? [] : itemsOf(takeValue(policy, result)) }
      })
    },
  }
}

type Failed = Extract<Answer, { readonly kind: 'error' | 'limit' }>

/** Address of the result set, or undefined where there is no such entry point. */
function evaluate(
  policy: LoadedPolicy,
  entrypoint: string,
  input: Uint8Array | string | undefined,
  parse: 'opa_json_parse' | 'opa_value_parse',
): number | undefined {
  const id = Object.hasOwn(policy.entrypoints, entrypoint) ? policy.entrypoints[entrypoint] : undefined
  if (id === undefined) return undefined
  const { exports } = policy
  if (exports.opa_heap_ptr_get() - policy.dataHeapPtr > heapSlackBytes) exports.opa_heap_ptr_set(policy.dataHeapPtr)

  const { context } = policy
  let value = 0
  if (input !== undefined) {
    const { at, length } = placed(policy, input)
    value = exports[parse](at, length)
    if (value === 0) throw new PolicyAbort('the policy could not read its input')
  }
  exports.opa_eval_ctx_set_input(context, value)
  exports.opa_eval_ctx_set_entrypoint(context, id)
  exports.eval(context)
  return exports.opa_eval_ctx_get_result(context)
}

/** Where an input lies. The parser copies what it keeps, so that the next one may be written over it. */
function placed(policy: LoadedPolicy, input: Uint8Array | string): { readonly at: number; readonly length: number } {
  const { room } = policy
  if (typeof input === 'string') {
    // Three bytes a character at most.
    if (3 * input.length > room.length) return placed(policy, utf8(input))
    memoryOf(policy)
    return { at: room.at, length: encoder.encodeInto(input, policy.view.room).written }
  }
  if (input.length > room.length) return { at: put(policy, input), length: input.length }
  memoryOf(policy).set(input, room.at)
  return { at: room.at, length: input.length }
}

const encoder = new TextEncoder()
const noBytes = new Uint8Array(0)

function memoryNote(module: WebAssembly.Module): number {
  const note = WebAssembly.Module.customSections(module, memorySectionName)[0]
  const exported = WebAssembly.Module.exports(module).some(({ name }) => name === stackPointerName)
  if (note && exported) return readMemoryNote(new Uint8Array(note))
  throw new WritError('policy_invalid', 'the policy module is not prepared', {
    cure: 'Pass its bytes through prepareModule() before compiling them, or build them with `writ policy build --edge`.',
  })
}

function firstLoad(load: () => LoadedPolicy, host: BuiltinHost): LoadedPolicy {
  let policy: LoadedPolicy
  try {
    policy = load()
  } catch (thrown) {
    throw new WritError('policy_invalid', `the policy cannot be loaded: ${textOf(thrown)}`, {
      cure: 'Build it with `writ policy build`; where memory is short, raise maxMemoryBytes.',
      cause: thrown,
    })
  }
  const missing = [...policy.called.values()].filter((name) => !isAvailable(name, host))
  if (missing.length === 0) return policy
  throw new WritError('policy_invalid', `the policy calls builtins that are not available: ${missing.join(', ')}`, {
    cure: 'Write it without them; docs/CONFORMANCE.md says which there are.',
  })
}

/**
 * After an error of a builtin's, or an abort of the policy's own, the instance is sound. A trap, an exhausted stack or
 * an exhausted heap can stop it anywhere.
 */
function isTrap(thrown: unknown): boolean {
  return (
    thrown instanceof WebAssembly.RuntimeError ||
    thrown instanceof RangeError ||
    (thrown instanceof PolicyAbort && thrown.message.startsWith('opa_malloc'))
  )
}

const textOf = (thrown: unknown): string => messageOf(thrown).slice(0, 500).toWellFormed()
