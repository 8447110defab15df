/**
 * Puts a policy module into a memory of its own and answers the builtins that it calls: OPA's Wasm ABI from the host's
 * side. Arguments and results cross in OPA's value syntax, because JSON has no sets and JavaScript no long numbers.
 */

import { utf8 } from '../core/bytes.ts'
import { messageOf } from '../core/fault.ts'
import { type Builtin, type BuiltinContext, BuiltinError } from './builtins/builtin.ts'
import { formatValue, parseValue, stringOfBytes, type Value } from './value.ts'

/** What OPA exports (ABI 1.2). All but the globals are functions of addresses in the policy's own memory. */
export interface PolicyExports {
  readonly __stack_pointer: { value: number }
  readonly opa_wasm_abi_version?: { readonly value: number }
  builtins(): number
  entrypoints(): number
  opa_malloc(size: number): number
  opa_free(at: number): void
  opa_json_parse(at: number, length: number): number
  opa_json_dump(value: number): number
  opa_value_parse(at: number, length: number): number
  opa_value_dump(value: number): number
  opa_heap_ptr_get(): number
  opa_heap_ptr_set(at: number): void
  opa_eval_ctx_new(): number
  opa_eval_ctx_set_input(context: number, value: number): void
  opa_eval_ctx_set_data(context: number, value: number): void
  opa_eval_ctx_set_entrypoint(context: number, entrypoint: number): void
  opa_eval_ctx_get_result(context: number): number
  eval(context: number): void
}

interface Machine {
  readonly mem: WebAssembly.Memory
  readonly exports: PolicyExports
  /** Memory as it was last seen, and the part of it for inputs. */
  readonly view: { bytes: Uint8Array; room: Uint8Array }
  readonly room: { at: number; readonly length: number }
}

export interface LoadedPolicy extends Machine {
  readonly dataAddr: number
  /** Where the heap begins again: all below is the policy's data. */
  readonly dataHeapPtr: number
  /** Below that too, as the room for inputs: what an evaluation is told. */
  readonly context: number
  readonly entrypoints: Readonly<Record<string, number>>
  /** Names of the builtins that the policy calls, by the number it calls them by. */
  readonly called: ReadonlyMap<number, string>
}

/** The policy ended its own evaluation, for instance because a rule has two values. */
export class PolicyAbort extends Error {}

export interface PolicyHost {
  readonly builtins: ReadonlyMap<string, Builtin>
  /** Of the evaluation that runs. */
  context(): BuiltinContext
}

/** Throws what WebAssembly throws, and a PolicyAbort where the data cannot be read. */
export function loadModule(
  module: WebAssembly.Module,
  memory: WebAssembly.MemoryDescriptor,
  dataJson: Uint8Array,
  host: PolicyHost,
): LoadedPolicy {
  const mem = new WebAssembly.Memory(memory)
  const called = new Map<number, string>()
  const call = (id: number, _: number, ...args: readonly number[]): number => {
    const name = called.get(id) ?? ''
    return callBuiltin(machine, name, host, args)
  }
  const instance = new WebAssembly.Instance(module, {
    env: {
      memory: mem,
      opa_abort: (at: number): never => {
        throw new PolicyAbort(textAt(mem, at))
      },
      opa_println: () => undefined,
      opa_builtin0: call,
      opa_builtin1: call,
      opa_builtin2: call,
      opa_builtin3: call,
      opa_builtin4: call,
    },
  })
  const exports = instance.exports as unknown as PolicyExports
  const none = new Uint8Array(0)
  const machine = { exports, mem, view: { bytes: none, room: none }, room: { at: 0, length: roomBytes } }
  const version = exports.opa_wasm_abi_version?.value
  if (version !== 1) throw new PolicyAbort(`ABI version ${version ?? 'none'} instead of 1`)
  machine.room.at = exports.opa_malloc(roomBytes)

  const numbers = JSON.parse(textAt(mem, exports.opa_json_dump(exports.builtins()))) as Record<string, number>
  for (const [name, id] of Object.entries(numbers)) called.set(id, name)
  const entrypoints = JSON.parse(textAt(mem, exports.opa_json_dump(exports.entrypoints())))
  const dataAddr = exports.opa_json_parse(put(machine, dataJson), dataJson.length)
  if (dataAddr === 0) throw new PolicyAbort('its data cannot be read')
  const context = exports.opa_eval_ctx_new()
  exports.opa_eval_ctx_set_data(context, dataAddr)
  return { ...machine, dataAddr, dataHeapPtr: exports.opa_heap_ptr_get(), context, entrypoints, called }
}

/** Room for the text of most inputs, in bytes; a longer one gets its own for the time of its evaluation. */
const roomBytes = 8192

/** Address of the result, or 0 where it is undefined. */
function callBuiltin(
  machine: Machine,
  name: string,
  { builtins, context }: PolicyHost,
  args: readonly number[],
): number {
  const values = args.map((arg) => takeValue(machine, arg))
  const answer = answerOf(name, builtins.get(name), context(), values)
  if (answer === undefined) return 0
  const at = put(machine, answer)
  const value = machine.exports.opa_value_parse(at, answer.length)
  machine.exports.opa_free(at)
  if (value === 0) throw new Error(`the policy could not read what ${name} answered`)
  return value
}

/** In value syntax. Whatever goes wrong in here leaves the policy's memory as it is, an exhausted stack included. */
function answerOf(
  name: string,
  builtin: Builtin | undefined,
  context: BuiltinContext,
  args: readonly Value[],
): Uint8Array | undefined {
  if (!builtin) throw new Error(`the builtin ${name} is not available`)
  try {
    const result = builtin(context, ...args)
    return result === undefined ? undefined : utf8(formatValue(result))
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return undefined
    throw new Error(`${name}: ${messageOf(thrown)}`, { cause: thrown })
  }
}

export function takeValue(machine: Machine, value: number): Value {
  const { exports } = machine
  const at = exports.opa_value_dump(value)
  const bytes = memoryOf(machine)
  const text = stringOfBytes(bytes.subarray(at, bytes.indexOf(0, at)))
  exports.opa_free(at)
  try {
    return parseValue(text)
  } catch (thrown) {
    throw new Error(`a value cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** Copies bytes into the policy's memory. */
export function put(machine: Machine, bytes: Uint8Array): number {
  const at = machine.exports.opa_malloc(bytes.length)
  memoryOf(machine).set(bytes, at)
  return at
}

/** All of the policy's memory, as long as it does not grow: then the bytes that were given before are none. */
export function memoryOf(machine: Machine): Uint8Array {
  const { view } = machine
  if (view.bytes.length > 0) return view.bytes
  view.bytes = new Uint8Array(machine.mem.buffer)
  view.room = view.bytes.subarray(machine.room.at, machine.room.at + machine.room.length)
  return view.bytes
}

const decoder = new TextDecoder()

/** C text: up to its NUL. */
export function textAt(mem: WebAssembly.Memory, at: number): string {
  const bytes = new Uint8Array(mem.buffer)
  return decoder.decode(bytes.subarray(at, bytes.indexOf(0, at)))
}
