/**
 * Puts a policy module into a memory of its own and answers the builtins that it calls: OPA's Wasm ABI from the host's
 * side. Arguments and results cross in OPA's value syntax, because JSON has no sets and JavaScript no long numbers.
 */

import { utf8 } from '../core/bytes.ts'
import { messageOf } from '../core/fault.ts'
import { type Builtin, type BuiltinContext, BuiltinError, LimitError } from './builtins/builtin.ts'
import { costOf } from './builtins/costs.ts'
import { formatValue, parseValue, stringOfBytes, type Value } from './value.ts'
import { worldBuiltins } from './world.ts'

/** What OPA exports (ABI 1.2). All but the globals are functions of addresses in the policy's own memory. */
export interface PolicyExports {
  readonly __stack_pointer: { value: number }
  /** Steps of work that are left. Modules that were prepared before work was counted have none. */
  readonly writ_work_left?: { value: bigint }
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

export interface Machine {
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

/**
 * Garbage that may pile up before the policy's heap is reset, in bytes. OPA keeps compiled regular expressions and
 * globs on that heap, so a reset for every request would compile them anew for every request. It is asked for at once,
 * where there is plenty: an instance whose memory has not grown can be put back as it was.
 */
export const heapSlackBytes: number = 4 * 1024 ** 2

const maxPages = 65_536

/** Of WebAssembly. */
export const pageBytes = 65_536

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
  const called = new Map<number, string>()
  const machine = instantiate(module, memory, called, host, { at: 0, length: roomBytes })
  const { exports, mem } = machine
  const version = exports.opa_wasm_abi_version?.value
  if (version !== 1) throw new PolicyAbort(`ABI version ${version ?? 'none'} instead of 1`)

  giveWork(machine, loadSteps + loadStepsPerByte * BigInt(dataJson.length))
  machine.room.at = exports.opa_malloc(roomBytes)
  const numbers = JSON.parse(textAt(mem, exports.opa_json_dump(exports.builtins()))) as Record<string, number>
  for (const [name, id] of Object.entries(numbers)) called.set(id, name)
  const entrypoints = JSON.parse(textAt(mem, exports.opa_json_dump(exports.entrypoints())))
  const dataAddr = exports.opa_json_parse(put(machine, dataJson), dataJson.length)
  if (dataAddr === 0) throw new PolicyAbort('its data cannot be read')
  const context = exports.opa_eval_ctx_new()
  exports.opa_eval_ctx_set_data(context, dataAddr)
  const dataHeapPtr = exports.opa_heap_ptr_get()
  if (mem.buffer.byteLength + heapSlackBytes < ((memory.maximum ?? maxPages) * pageBytes) / 2) {
    exports.opa_malloc(heapSlackBytes)
    exports.opa_heap_ptr_set(dataHeapPtr)
  }
  return { ...machine, dataAddr, dataHeapPtr, context, entrypoints, called }
}

/**
 * A policy as it was when its data had been read: its memory below the heap, for what is above is not in use yet, and
 * a prepared module has no other state. It takes as much memory as the data do in the policy's own.
 */
export interface PolicyImage {
  readonly of: LoadedPolicy
  readonly memory: Uint8Array
  readonly memoryBytes: number
  readonly stackPointer: number
}

/** To be taken before the policy is asked. */
export const imageOf = (policy: LoadedPolicy): PolicyImage => ({
  of: policy,
  memory: new Uint8Array(policy.mem.buffer, 0, policy.dataHeapPtr).slice(),
  memoryBytes: policy.mem.buffer.byteLength,
  stackPointer: policy.exports.__stack_pointer.value,
})

/**
 * The same instance as it was, whatever stopped it: a prepared module has no state beside its memory but the stack
 * pointer. Undefined where the memory has grown, which cannot be undone.
 */
export function restored(
  policy: LoadedPolicy,
  { memory, memoryBytes, stackPointer }: PolicyImage,
): LoadedPolicy | undefined {
  if (policy.mem.buffer.byteLength !== memoryBytes) return undefined
  new Uint8Array(policy.mem.buffer).set(memory)
  policy.exports.__stack_pointer.value = stackPointer
  return policy
}

/** The same policy in a memory of its own, without reading the data again. */
export function loadImage(
  module: WebAssembly.Module,
  memory: WebAssembly.MemoryDescriptor,
  { of, memory: content, memoryBytes }: PolicyImage,
  host: PolicyHost,
): LoadedPolicy {
  const machine = instantiate(module, memory, of.called, host, of.room)
  const missing = memoryBytes - machine.mem.buffer.byteLength
  if (missing > 0) machine.mem.grow(missing / pageBytes)
  new Uint8Array(machine.mem.buffer).set(content)
  return { ...of, ...machine }
}

function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.MemoryDescriptor,
  called: ReadonlyMap<number, string>,
  host: PolicyHost,
  room: Machine['room'],
): Machine {
  const mem = new WebAssembly.Memory(memory)
  const call = (id: number, _: number, ...args: readonly number[]): number =>
    callBuiltin(machine, called.get(id) ?? '', host, args)
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
  const view = { bytes: new Uint8Array(0), room: new Uint8Array(0) }
  const machine: Machine = { exports: instance.exports as unknown as PolicyExports, mem, view, room }
  return machine
}

/** Room for the text of most inputs, in bytes; a longer one gets its own for the time of its evaluation. */
const roomBytes = 8192

/** What reading the data may take; what OPA's own reader takes is far below. */
const loadSteps = 100_000_000n
const loadStepsPerByte = 1000n

export function giveWork({ exports }: Machine, steps: bigint): void {
  if (exports.writ_work_left) exports.writ_work_left.value = steps
}

/** Whether more was asked for than was given. */
export const isWorkSpent = ({ exports }: Machine): boolean => (exports.writ_work_left?.value ?? 0n) < 0n

/** Takes steps for what the host does; throws a LimitError where fewer are left. */
export function spendWork(machine: Machine, steps: number): void {
  const left = machine.exports.writ_work_left
  if (!left) return
  left.value -= BigInt(Math.ceil(steps))
  if (left.value < 0n) throw new LimitError('no work is left')
}

/** Address of the result, or 0 where it is undefined. */
function callBuiltin(
  machine: Machine,
  name: string,
  { builtins, context }: PolicyHost,
  args: readonly number[],
): number {
  const texts = args.map((arg) => takeText(machine, arg))
  spendWork(
    machine,
    costOf(
      name,
      texts.reduce((sum, text) => sum + text.length, 0),
    ),
  )
  const answer = answerOf(name, builtins.get(name), context(), texts.map(readValue))
  if (answer === undefined) return 0
  spendWork(machine, answer.length)
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
    const given = context.given && worldBuiltins.has(name) ? context.given(name, args) : undefined
    if (given) context.record(name, args, given.value)
    const result = given ? given.value : builtin(context, ...args)
    return result === undefined ? undefined : utf8(formatValue(result))
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return undefined
    if (thrown instanceof LimitError) throw thrown
    // Such as a text, a list or a depth that JavaScript does not have.
    if (thrown instanceof RangeError) throw new LimitError(named(name, thrown.message))
    throw new Error(named(name, messageOf(thrown)), { cause: thrown })
  }
}

export const takeValue = (machine: Machine, value: number): Value => readValue(takeText(machine, value))

/** A value of the policy's in OPA's syntax. */
function takeText(machine: Machine, value: number): string {
  const { exports } = machine
  const at = exports.opa_value_dump(value)
  const bytes = memoryOf(machine)
  const text = stringOfBytes(bytes.subarray(at, bytes.indexOf(0, at)))
  exports.opa_free(at)
  return text
}

function readValue(text: string): Value {
  try {
    return parseValue(text)
  } catch (thrown) {
    throw new Error(`a value cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
}

const named = (name: string, text: string): string => (text.startsWith(name) ? text : `${name}: ${text}`)

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
