import { beforeAll, expect, test } from 'vitest'
import { utf8 } from '../../core/bytes.ts'
import type { Json } from '../../core/json.ts'
import type { Answer } from '../../engine/answer.ts'
import { readBundle } from '../../engine/bundle.ts'
import { type Instance, openInstance } from '../../engine/instance.ts'
import { imageOf, type LoadedPolicy, loadImage, loadModule, type PolicyHost, restored } from '../../engine/load.ts'
import { prepareModule } from '../../engine/module.ts'
import type { Policy } from '../../engine/policy.ts'
import { bundleOf, openRego } from './compiled.ts'

const levels = Array.from({ length: 40 }, (_, i) =>
  i === 39 ? `f${i}(x) := x` : `f${i}(x) := y if y := f${i + 1}(x + 1) + f${i + 1}(x + 2)`,
).join('\n')
const rego = `package t
${levels}
sorts := count(sort(data.numbers)) > input.n
loops := count([1 | some x in numbers.range(1, input.n); some y in numbers.range(1, 1000); x * y == 0])
doubles := f0(1) if input.n > 0
shallow := f30(1) if input.n > 0
eats := count([s | some i in numbers.range(1, input.n); s := sprintf("%900d", [i])])
expands := count(net.cidr_expand(input.block))
signs := io.jwt.encode_sign({"alg": "HS256"}, {"a": input.n}, {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMko"})
echo := input
names := count(data.names)
`
const rules = ['sorts', 'loops', 'doubles', 'shallow', 'eats', 'expands', 'signs', 'echo', 'names'].map(
  (rule) => `t/${rule}`,
)
const data = {
  names: Array.from({ length: 20_000 }, (_, i) => `name ${i}`),
  numbers: Array.from({ length: 4000 }, (_, i) => (i * 7919) % 4001),
}

let module: WebAssembly.Module
let policy: Policy
let other: Policy
beforeAll(async () => {
  const { wasm } = await readBundle(await bundleOf(rego, rules, data), 'test')
  module = new WebAssembly.Module(prepareModule(wasm) as Uint8Array<ArrayBuffer>)
  policy = await openRego(rego, rules, { data })
  other = await openRego('package t\nr := input', ['t/r'])
})

const dataJson = utf8(JSON.stringify(data))
const open = (maxWork: number, mebibytes = 128): Instance =>
  openInstance(module, dataJson, { maxMemoryBytes: mebibytes * 1024 ** 2, maxWork })
const ask = (instance: Instance, rule: string, input: Json): Answer =>
  instance.ask(`t/${rule}`, utf8(JSON.stringify(input)), 0n)

const stopped = {
  ok: false,
  fault: 'policy_limit',
  detail: 'the evaluation was stopped: more than 10000000 steps of work',
}

test('a policy that loops for long is stopped and says so; it and others answer right after', () => {
  for (const [rule, n] of [
    ['sorts', 1],
    ['loops', 3000],
  ] as const) {
    expect(policy.evaluate(`t/${rule}`, { n })).toEqual(stopped)
    expect(policy.evaluate('t/loops', { n: 1 })).toEqual({ ok: true, value: 0 })
    expect(other.evaluate('t/r', 1)).toEqual({ ok: true, value: 1 })
  }
})

test('functions that call each other twice at forty levels are stopped, without a loop', () => {
  expect(policy.evaluate('t/doubles', { n: 1 })).toEqual(stopped)
  expect(policy.evaluate('t/shallow', { n: 1 })).toEqual({ ok: true, value: 7424 })
})

test('a policy that eats memory is stopped and the next input is judged', async () => {
  const small = await openRego(rego, rules, { data: { names: [] }, maxMemoryBytes: 4 * 1024 ** 2 })
  for (let i = 0; i < 3; i++) {
    expect(small.evaluate('t/eats', { n: 20_000 })).toMatchObject({ ok: false, fault: 'policy_limit' })
    expect(small.evaluate('t/eats', { n: 5 })).toEqual({ ok: true, value: 5 })
  }
})

test('what builtins of the host take in, work and give out counts as the policy’s own work', () => {
  expect(ask(open(1_000_000), 'expands', { block: '10.0.0.0/24' })).toEqual({ kind: 'value', value: 256 })
  const spent = { kind: 'limit', detail: 'the evaluation was stopped: more than 100000 steps of work' }
  const little = open(100_000)
  expect(ask(little, 'expands', { block: '10.0.0.0/16' })).toEqual(spent)
  expect(ask(little, 'signs', { n: 1 })).toEqual(spent)
  expect(ask(little, 'expands', { block: '10.0.0.0/30' })).toEqual({ kind: 'value', value: 4 })
  expect(ask(open(1_000_000), 'expands', { block: '0.0.0.0/0' })).toEqual({
    kind: 'limit',
    detail: 'the evaluation was stopped: net.cidr_expand: more than 65536 addresses',
  })
})

test('an evaluation takes as many steps in each instance that has just been loaded, and one fewer is too few', () => {
  const suffices = (work: number) => ask(open(work), 'loops', { n: 3 }).kind === 'value'
  let [low, high] = [0, 1_000_000]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (suffices(middle)) high = middle
    else low = middle
  }
  expect(high).toBeGreaterThan(10_000)
  for (let i = 0; i < 5; i++) {
    expect(suffices(high)).toBe(true)
    expect(suffices(high - 1)).toBe(false)
  }
})

test('a caller who provokes one stop after the other costs no reading of data, and ends with the same answers', () => {
  const instance = open(5000)
  const before = instance.memoryBytes()
  for (let i = 0; i < 300; i++) {
    if (ask(instance, 'sorts', { n: 1 }).kind !== 'limit') expect(i).toBe(-1)
  }
  expect(ask(instance, 'names', {})).toEqual({ kind: 'value', value: 20_000 })
  expect(ask(instance, 'echo', [1, 'a'])).toEqual({ kind: 'value', value: [1, 'a'] })
  expect(instance.memoryBytes()).toBe(before)
})

const host: PolicyHost = {
  builtins: new Map(),
  context: () => {
    throw new Error('no builtin is called')
  },
}
/** All of a policy's memory and its answer, from each step of a few evaluations. */
function trace(policy: LoadedPolicy): readonly unknown[] {
  const { exports, mem } = policy
  const seen: unknown[] = []
  for (const rule of ['t/names', 't/echo', 't/loops', 't/names']) {
    const context = exports.opa_eval_ctx_new()
    const input = utf8('{"n": 2}')
    const at = exports.opa_malloc(input.length)
    new Uint8Array(mem.buffer).set(input, at)
    exports.opa_eval_ctx_set_input(context, exports.opa_json_parse(at, input.length))
    exports.opa_eval_ctx_set_data(context, policy.dataAddr)
    exports.opa_eval_ctx_set_entrypoint(context, policy.entrypoints[rule]!)
    exports.eval(context)
    exports.opa_json_dump(exports.opa_eval_ctx_get_result(context))
    seen.push(exports.__stack_pointer.value, exports.opa_heap_ptr_get(), mem.buffer.byteLength)
    seen.push(Buffer.from(mem.buffer.slice(0, exports.opa_heap_ptr_get())).toString('base64'))
  }
  return seen
}

test('what comes from an image is byte for byte what is loaded afresh, now and in all that follows', () => {
  const memory = { initial: 2, maximum: 2048 }
  const fresh = loadModule(module, memory, dataJson, host)
  const image = imageOf(loadModule(module, memory, dataJson, host))
  expect(image.memoryBytes).toBeGreaterThan(2 * 65_536)
  const other = loadImage(module, memory, image, host)
  expect(other.mem.buffer.byteLength).toBe(fresh.mem.buffer.byteLength)
  expect(other.exports.__stack_pointer.value).toBe(fresh.exports.__stack_pointer.value)
  const followed = trace(fresh)
  expect(trace(other)).toEqual(followed)
})

test('an instance that was stopped amid its work is put back as it was, unless its memory has grown', () => {
  const memory = { initial: 2, maximum: 2048 }
  const policy = loadModule(module, memory, dataJson, host)
  const image = imageOf(policy)
  const followed = trace(loadImage(module, memory, image, host))
  policy.exports.writ_work_left!.value = 3000n
  expect(() => trace(policy)).toThrow(WebAssembly.RuntimeError)
  new Uint8Array(policy.mem.buffer, 1024, 4096).fill(0xff) // As good as whatever else it may have left.
  policy.exports.__stack_pointer.value -= 512
  expect(restored(policy, image)).toBe(policy)
  policy.exports.writ_work_left!.value = 1_000_000_000n
  expect(trace(policy)).toEqual(followed)
  policy.mem.grow(1)
  expect(restored(policy, image)).toBeUndefined()
})

test('memory that one large input took is given back, and what a small one took is kept', () => {
  const instance = open(100_000_000, 512)
  const before = instance.memoryBytes()
  ask(instance, 'echo', 'x'.repeat(4_000_000))
  const kept = instance.memoryBytes()
  expect(kept).toBeGreaterThan(before)
  expect(ask(instance, 'echo', 'x'.repeat(15_000_000)).kind).toBe('value')
  expect(ask(instance, 'names', {})).toEqual({ kind: 'value', value: 20_000 })
  expect(instance.memoryBytes()).toBe(before)
})

test('data that take a policy more memory than it may have are refused with what to do', async () => {
  await expect(openRego(rego, rules, { data, maxMemoryBytes: 1024 ** 2 })).rejects.toMatchObject({
    code: 'policy_invalid',
    cure: expect.stringContaining('maxMemoryBytes'),
  })
})
