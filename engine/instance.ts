/**
 * One running policy: the only file that knows @open-policy-agent/opa-wasm. The library loads the module and serves its
 * builtins; the evaluation itself drives OPA's Wasm ABI, because the library's own `evaluate` takes false, null and
 * bytes for no input at all, cannot tell an unreadable input from an undefined answer, and dies after 512 errors.
 */

import * as opaWasm from '@open-policy-agent/opa-wasm'
import { utf8 } from '../core/bytes.ts'
import { messageOf, WritError } from '../core/fault.ts'
import type { Json } from '../core/json.ts'
import { memorySectionName, readMemoryNote, stackPointerName } from './module.ts'

export type Answer =
  | { readonly kind: 'value'; readonly value: Json }
  | { readonly kind: 'undefined' }
  | { readonly kind: 'error'; readonly detail: string }
  | { readonly kind: 'limit'; readonly detail: string }
  | { readonly kind: 'unreadable'; readonly detail: string }

export interface Instance {
  readonly entrypoints: readonly string[]
  /** Asks one entry point. `nowNs` is what `time.now_ns` answers, however often it is asked. Never throws. */
  ask(entrypoint: string, inputJson: Uint8Array, nowNs: bigint): Answer
  /** Memory that the policy holds now, in bytes. */
  memoryBytes(): number
}

/** What OPA exports (ABI 1.3). All but the stack pointer are functions of addresses in the policy's own memory. */
interface Exports {
  readonly [stackPointerName]: { value: number }
  builtins(): number
  opa_malloc(size: number): number
  opa_json_parse(at: number, length: number): number
  opa_json_dump(value: number): number
  opa_heap_ptr_get(): number
  opa_heap_ptr_set(at: number): void
  opa_eval_ctx_new(): number
  opa_eval_ctx_set_input(context: number, value: number): void
  opa_eval_ctx_set_data(context: number, value: number): void
  opa_eval_ctx_set_entrypoint(context: number, entrypoint: number): void
  opa_eval_ctx_get_result(context: number): number
  eval(context: number): void
}

type Loaded = Pick<opaWasm.LoadedPolicy, 'mem' | 'dataAddr' | 'setData'> & {
  readonly wasmInstance: { readonly exports: Exports }
  readonly entrypoints: Readonly<Record<string, number>>
  readonly dataHeapPtr: number
}

/** The library has this beside the asynchronous `loadPolicy`, but its types forget the default export. */
const { loadPolicySync } = (
  opaWasm as unknown as {
    default: {
      loadPolicySync(
        module: WebAssembly.Module,
        memory: { initial: number; maximum: number },
        builtins: Readonly<Record<string, () => ArrayBuffer>>,
      ): Loaded
    }
  }
).default

const text = new TextDecoder()

const pageBytes = 65_536

/**
 * Garbage that may pile up before the policy's heap is reset, in bytes. OPA keeps compiled regular expressions and
 * globs on that heap, so a reset for every request would compile them anew for every request.
 */
const heapSlackBytes = 4 * 1024 ** 2

/**
 * Builtins that a policy may call beyond those compiled into it. Of the library's own, `regex.split` is left out for
 * its backtracking, and `yaml.*` because they need a Node global: a policy must answer the same on every host.
 */
const hostBuiltins: ReadonlySet<string> = new Set(['json.is_valid', 'sprintf', 'time.now_ns'])

/** Loads a prepared module with its data. Throws `policy_invalid` when it cannot be run here. */
export function openInstance(module: WebAssembly.Module, dataJson: Uint8Array, maxMemoryBytes: number): Instance {
  const memory = { initial: memoryNote(module), maximum: Math.floor(maxMemoryBytes / pageBytes) }
  let nowNs = 0n
  const load = (): Loaded => {
    // As JSON text, since nanoseconds do not fit a number.
    const policy = loadPolicySync(module, { ...memory }, { 'time.now_ns': () => ownBuffer(utf8(`${nowNs}`)) })
    policy.setData(ownBuffer(dataJson))
    return policy
  }

  const first = firstLoad(load)
  let loaded: Loaded | undefined = first
  return {
    entrypoints: Object.keys(first.entrypoints),
    memoryBytes: () => loaded?.mem.buffer.byteLength ?? 0,
    ask(entrypoint, inputJson, atNs) {
      nowNs = atNs
      try {
        loaded ??= load()
      } catch (thrown) {
        return { kind: 'limit', detail: `the policy could not be loaded again: ${textOf(thrown)}` }
      }
      const { exports } = loaded.wasmInstance
      const stackPointer = exports[stackPointerName].value
      try {
        return evaluate(loaded, entrypoint, inputJson)
      } catch (thrown) {
        if (isTrap(thrown)) {
          loaded = undefined // Its memory may be anything now.
          return { kind: 'limit', detail: `the evaluation was stopped: ${textOf(thrown)}` }
        }
        exports[stackPointerName].value = stackPointer
        exports.opa_heap_ptr_set(loaded.dataHeapPtr) // Whatever was half built goes.
        return { kind: 'error', detail: textOf(thrown) }
      }
    },
  }
}

function evaluate(policy: Loaded, entrypoint: string, inputJson: Uint8Array): Answer {
  const id = Object.hasOwn(policy.entrypoints, entrypoint) ? policy.entrypoints[entrypoint] : undefined
  if (id === undefined) return { kind: 'undefined' }
  const { exports } = policy.wasmInstance
  if (exports.opa_heap_ptr_get() - policy.dataHeapPtr > heapSlackBytes) exports.opa_heap_ptr_set(policy.dataHeapPtr)

  const raw = exports.opa_malloc(inputJson.length)
  bytesOf(policy).set(inputJson, raw)
  const input = exports.opa_json_parse(raw, inputJson.length)
  if (input === 0) return { kind: 'error', detail: 'the policy could not read its input' }

  const context = exports.opa_eval_ctx_new()
  exports.opa_eval_ctx_set_input(context, input)
  exports.opa_eval_ctx_set_data(context, policy.dataAddr)
  exports.opa_eval_ctx_set_entrypoint(context, id)
  exports.eval(context)
  return readAnswer(policy, exports.opa_json_dump(exports.opa_eval_ctx_get_result(context)))
}

/** The two answers that most policies give most of the time, as OPA dumps them. */
const yes = { bytes: utf8('[{"result":true}]\0'), answer: { kind: 'value', value: true } } as const
const no = { bytes: utf8('[{"result":false}]\0'), answer: { kind: 'value', value: false } } as const

/** A result set is `[{"result": value}]`, or `[]` where the rule is undefined. OPA's dump of a number is not always JSON. */
function readAnswer(policy: Loaded, at: number): Answer {
  const memory = bytesOf(policy)
  if (standsAt(memory, at, yes.bytes)) return yes.answer
  if (standsAt(memory, at, no.bytes)) return no.answer
  let results: readonly { readonly result: Json }[]
  try {
    results = JSON.parse(textAt(policy, at))
  } catch {
    return { kind: 'unreadable', detail: 'the answer is not JSON' }
  }
  return results[0] === undefined ? { kind: 'undefined' } : { kind: 'value', value: results[0].result }
}

function standsAt(memory: Uint8Array, at: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (memory[at + i] !== bytes[i]) return false
  return true
}

function memoryNote(module: WebAssembly.Module): number {
  const note = WebAssembly.Module.customSections(module, memorySectionName)[0]
  const exported = WebAssembly.Module.exports(module).some(({ name }) => name === stackPointerName)
  if (note && exported) return readMemoryNote(new Uint8Array(note))
  throw new WritError('policy_invalid', 'the policy module is not prepared', {
    cure: 'Pass its bytes through prepareModule() before compiling them, or build them with `writ policy build --edge`.',
  })
}

function firstLoad(load: () => Loaded): Loaded {
  let policy: Loaded
  try {
    policy = load()
  } catch (thrown) {
    throw new WritError('policy_invalid', `the policy cannot be loaded: ${textOf(thrown)}`, {
      cure: 'Build it with `writ policy build`; where memory is short, raise maxMemoryBytes.',
      cause: thrown,
    })
  }
  const { exports } = policy.wasmInstance
  const called = JSON.parse(textAt(policy, exports.opa_json_dump(exports.builtins()))) as Record<string, number>
  const missing = Object.keys(called).filter((name) => !hostBuiltins.has(name))
  if (missing.length === 0) return policy
  throw new WritError('policy_invalid', `the policy calls builtins that are not available: ${missing.join(', ')}`, {
    cure: `Write it without them. Beyond those compiled into a policy there are ${[...hostBuiltins].join(', ')}.`,
  })
}

/** Anew each time, since memory that grows leaves earlier views behind. */
const bytesOf = ({ mem }: Loaded): Uint8Array => new Uint8Array(mem.buffer)

/** C text: up to its NUL. */
function textAt(policy: Loaded, at: number): string {
  const memory = bytesOf(policy)
  return text.decode(memory.subarray(at, memory.indexOf(0, at)))
}

/**
 * OPA's own aborts are thrown as strings and builtins throw errors of their own; after those the instance is sound.
 * A trap, an exhausted stack or an exhausted heap can stop it anywhere.
 */
function isTrap(thrown: unknown): boolean {
  return (
    thrown instanceof WebAssembly.RuntimeError ||
    thrown instanceof RangeError ||
    (typeof thrown === 'string' && thrown.startsWith('opa_malloc'))
  )
}

function textOf(thrown: unknown): string {
  const plain = typeof thrown === 'object' && thrown !== null && 'message' in thrown ? thrown.message : thrown
  return messageOf(plain).slice(0, 500).toWellFormed()
}

/** The library takes bytes only as an ArrayBuffer of exactly their length. */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer
}
