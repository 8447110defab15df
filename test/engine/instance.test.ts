import * as opaWasm from '@open-policy-agent/opa-wasm'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import type { Json } from '../../core/json.ts'
import { readBundle } from '../../engine/bundle.ts'
import { type Evaluation, openInstance } from '../../engine/instance.ts'
import { prepareModule } from '../../engine/module.ts'
import type { Policy } from '../../engine/policy.ts'
import { formatValue } from '../../engine/value.ts'
import { bundleOf, openRego, unpreparedWasmOf, wasmOf } from './compiled.ts'

const rego = `package t
whole := input
given if input == input
none := x if { x := 1; false }
conflict := x if some x in input.values
clock := [time.now_ns(), time.now_ns() == time.now_ns(), time.now_ns()]
matches := [name | some name in input.names; regex.match(input.pattern, name)]
sized := count([x | some x in numbers.range(1, input.upto)])
formatted := sprintf(input.format, input.values)
stepped := count(numbers.range_step(1, input.upto, 1))
drawn := [rand.intn("a", 1000000), rand.intn("a", 1000000), rand.intn("b", 1000000)]
long := [input.n, 9007199254740993, {"b", "a"}, {[1]: "key"}]
`
const rules = [
  ...['whole', 'given', 'none', 'conflict', 'clock', 'matches', 'sized', 'formatted', 'stepped', 'drawn', 'long'],
].map((rule) => `t/${rule}`)

let policy: Policy
beforeAll(async () => {
  policy = await openRego(rego, rules)
})

const value = (entrypoint: string, input: Json, of: Policy = policy): Json => {
  const answer = of.evaluate(entrypoint, input)
  if (!answer.ok) throw new Error(`${answer.fault}: ${answer.detail}`)
  return answer.value
}
const faultOf = (entrypoint: string, input: unknown, of: Policy = policy) => {
  const answer = of.evaluate(entrypoint, input as Json)
  return answer.ok ? undefined : answer.fault
}
const utf8 = (text: string) => new TextEncoder().encode(text)
const limits = (mebibytes: number) => ({ maxMemoryBytes: mebibytes * 1024 ** 2, maxWork: 10_000_000 })
const compile = (wasm: Uint8Array) => new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)

test('after 2000 evaluation errors the policy answers as before', () => {
  for (let i = 0; i < 2000; i++) {
    const answer = policy.evaluate('t/conflict', { values: [1, 2] })
    if (answer.ok || answer.fault !== 'policy_error' || !answer.detail.includes('conflict')) expect(answer).toBe(i)
  }
  expect(value('t/conflict', { values: [7] })).toBe(7)
})

test('an error of a builtin is undefined and one of the host ends the evaluation; neither costs anything', () => {
  for (let i = 0; i < 2000; i++) {
    if (faultOf('t/formatted', { format: 1, values: [] }) !== 'policy_undefined') expect(i).toBe(-1)
    if (faultOf('t/stepped', { upto: 1e9 }) !== 'policy_limit') expect(i).toBe(-1)
  }
  expect(value('t/formatted', { format: '%s may', values: ['storefront'] })).toBe('storefront may')
  expect(value('t/stepped', { upto: 1000 })).toBe(1000)
})

test('asked exactly, an answer keeps its sets, keys and digits, and takes an input that has them', () => {
  const instance = openInstance(compile(preparedWasm), utf8('{}'), limits(16))
  const ask = (rule: string, input: string | undefined) => {
    const answer = instance.askExactly(rule, input === undefined ? undefined : utf8(input), { nowNs: 0n })
    return answer.kind === 'results' ? formatValue(answer.results) : answer
  }
  expect(ask('t/long', '{"n": {1.50, set(), 9007199254740995}}')).toBe(
    '[{"result": [{1.50, 9007199254740995, set()}, 9007199254740993, {"a", "b"}, {[1]: "key"}]}]',
  )
  expect(ask('t/given', undefined)).toBe('[]')
  expect(ask('t/given', 'null')).toBe('[{"result": true}]')
  expect(ask('t/whole', '{1,')).toEqual({ kind: 'error', detail: 'the policy could not read its input' })
  expect(ask('t/conflict', '{"values": [1, 2]}')).toMatchObject({ kind: 'error' })
})

test('sets come in order, and a number that is not JSON is read all the same', async () => {
  const policy = await openRego('package t\nset := {s | some s in input}\nhalf := .5', ['t/set', 't/half'])
  const names = Array.from({ length: 50 }, (_, i) => `${(i * 37) % 50}`)
  expect(value('t/set', names, policy)).toEqual([...names].sort())
  const instance = openInstance(compile(preparedWasm), utf8('{}'), limits(16))
  const half = instance.askExactly('t/whole', utf8('0.50'), { nowNs: 0n })
  expect(half.kind === 'results' && formatValue(half.results)).toBe('[{"result": 0.50}]')
  expect(value('t/half', [1], policy)).toBe(0.5)
  expect(policy.evaluateText('t/half', '[1]', 0n)).toEqual({ ok: true, value: 0.5 })
})

test('a builtin that asks the world is there where the host can answer', async () => {
  const rego = 'package t\nr := net.lookup_ip_addr(input)'
  const host = { lookupIpAddr: (name: string) => (name === 'a' ? ['10.0.0.1'] : undefined) }
  const policy = await openRego(rego, ['t/r'], { host })
  expect(value('t/r', 'a', policy)).toEqual(['10.0.0.1'])
  expect(faultOf('t/r', 'b', policy)).toBe('policy_undefined')
  await expect(openRego(rego, ['t/r'])).rejects.toThrow('net.lookup_ip_addr')
})

test('what a policy draws follows from time and input, or from the seed that is passed in', () => {
  const instance = openInstance(compile(preparedWasm), utf8('{}'), limits(16))
  const draw = (input: string, evaluation: Evaluation) => {
    const answer = instance.askExactly('t/drawn', utf8(input), evaluation)
    return answer.kind === 'results' ? formatValue(answer.results) : answer
  }
  const first = draw('1', { nowNs: 1n })
  expect(first).toMatch(/^\[\{"result": \[(\d+), \1, (?!\1)\d+\]\}\]$/)
  expect(draw('1', { nowNs: 1n })).toBe(first)
  expect(draw('2', { nowNs: 1n })).not.toBe(first)
  expect(draw('1', { nowNs: 2n })).not.toBe(first)
  const seed = Uint8Array.of(7)
  expect(draw('1', { nowNs: 1n, seed })).toBe(draw('2', { nowNs: 2n, seed }))
})

test('what the world answered is told to whoever listens', () => {
  const instance = openInstance(compile(preparedWasm), utf8('{}'), limits(16))
  const told: unknown[] = []
  instance.askExactly('t/clock', utf8('1'), { nowNs: 5n, record: (...what) => void told.push(what) })
  expect(told[0]).toEqual(['time.now_ns', [], 5])
  told.length = 0
  instance.ask('t/clock', utf8('1'), 5n)
  expect(told).toEqual([])
})

test('the library alone is dead by then: the reason for the stack pointer', async () => {
  const wasm = await wasmOf(rego, rules)
  const library = opaWasm as unknown as {
    default: {
      loadPolicySync(m: WebAssembly.Module, memory: object, builtins: object): { evaluate(i: Json, e: string): unknown }
    }
  }
  const stock = library.default.loadPolicySync(compile(wasm), { initial: 2 }, { 'time.now_ns': () => 0 })
  const thrown: unknown[] = []
  for (let i = 0; i < 600; i++) {
    try {
      stock.evaluate({ values: [1, 2] }, 't/conflict')
    } catch (error) {
      thrown.push(error)
    }
  }
  expect(thrown.at(0)).toContain('conflict')
  expect(thrown.at(-1)).toBeInstanceOf(WebAssembly.RuntimeError)
})

test('false, null, 0 and "" reach the policy as input instead of as none', () => {
  for (const input of [false, null, 0, '', [], {}]) {
    expect(value('t/whole', input)).toEqual(input)
    expect(value('t/given', input)).toBe(true)
  }
})

test('bytes and a missing input are refused', () => {
  for (const input of [undefined, new Uint8Array([123, 125]), utf8('{}').buffer, new Date(0)]) {
    expect(faultOf('t/given', input)).toBe('policy_error')
  }
})

test('an undefined rule and an input that cannot be read are told apart', () => {
  expect(faultOf('t/none', {})).toBe('policy_undefined')
  const instance = openInstance(compile(preparedWasm), utf8('{}'), limits(16))
  expect(instance.ask('t/given', utf8('{}'), 0n)).toEqual({ kind: 'value', value: true })
  expect(instance.ask('t/given', utf8('{"a":'), 0n)).toEqual({
    kind: 'error',
    detail: 'the policy could not read its input',
  })
})

test('an entry point that the policy does not have is undefined, also one that every object has', () => {
  for (const entrypoint of ['t/other', '', 'toString', '__proto__']) {
    expect(faultOf(entrypoint, {})).toBe('policy_undefined')
  }
})

test('the deepest input that is allowed is judged, deeper ones are over the limit', () => {
  const nested = (depth: number): Json => (depth === 0 ? 1 : [nested(depth - 1)])
  expect(value('t/whole', nested(64))).toEqual(nested(64))
  expect(faultOf('t/whole', nested(65))).toBe('policy_limit')
  expect(faultOf('t/whole', nested(2000))).toBe('policy_limit')
})

test('an input longer than the limit is not judged', () => {
  expect(value('t/given', 'x'.repeat(1024 ** 2 - 2))).toBe(true)
  expect(faultOf('t/given', 'x'.repeat(1024 ** 2 - 1))).toBe('policy_limit')
})

test('every input comes back from the policy as it went in', () => {
  const json = fc.jsonValue({ noUnicodeString: false })
  fc.assert(
    fc.property(json, (input) => {
      expect(value('t/whole', input as Json)).toEqual(JSON.parse(JSON.stringify(input)))
    }),
    { numRuns: 500 },
  )
})

test('within one evaluation the time stands still, and it is the one passed in', () => {
  const at = 1_795_453_449_123_456_789n
  const answer = policy.evaluate('t/clock', {}, at)
  // The numbers go through JSON.parse here; inside the policy they are exact.
  expect(answer).toEqual({ ok: true, value: [Number(at), true, Number(at)] })
})

test("without a time passed in it is the request's own, else the clock's", async () => {
  const clocked = await openRego('package t\nr := time.now_ns() % 1000', ['t/r'], { now: () => 5n })
  expect(value('t/r', {}, clocked)).toBe(5)
  expect(value('t/r', { attributes: { request: { time: '2026-11-23T17:04:09.000000789Z' } } }, clocked)).toBe(789)
})

test('a policy that needs more memory than the library gives by default is loaded', async () => {
  const big = `package t\nr := count(split(text, ""))\ntext := "${'x'.repeat(400_000)}"`
  expect(value('t/r', {}, await openRego(big, ['t/r']))).toBe(400_000)
})

test('builtins that are missing are named when the policy is loaded', async () => {
  await expect(
    openRego('package t\nr := [rego.parse_module("a", input), net.lookup_ip_addr(input)]', ['t/r']),
  ).rejects.toThrow(/net\.lookup_ip_addr, rego\.parse_module|rego\.parse_module, net\.lookup_ip_addr/)
})

test('a module that was not prepared is refused', () => {
  expect(() => openInstance(compile(rawWasm), utf8('{}'), limits(16))).toThrow('not prepared')
})

test('an evaluation that would outgrow its memory is a fault, and the next one is answered', async () => {
  const bounded = await openRego(rego, rules, { maxMemoryBytes: 8 * 1024 ** 2 })
  for (let i = 0; i < 3; i++) {
    expect(value('t/sized', { upto: 1000 }, bounded)).toBe(1000)
    expect(faultOf('t/sized', { upto: 1_000_000 }, bounded)).toBe('policy_limit')
  }
})

test('after a trap the instance is another one, with its data and with its memory given back', async () => {
  const { wasm } = await readBundle(
    await bundleOf('package t\nsized := count(numbers.range(1, input))\nr := data.a', ['t/sized', 't/r'], { a: 1 }),
    'test',
  )
  const instance = openInstance(compile(prepareModule(wasm)), utf8('{"a":1}'), limits(8))
  const before = instance.memoryBytes()
  expect(instance.ask('t/sized', utf8('1000000'), 0n).kind).toBe('limit')
  expect(instance.ask('t/r', utf8('0'), 0n)).toEqual({ kind: 'value', value: 1 })
  expect(instance.memoryBytes()).toBe(before)
})

test('memory stays bounded over many requests, with the same answers before and after each reset of the heap', async () => {
  const instance = openInstance(compile(preparedWasm), utf8('{}'), limits(64))
  const input = (i: number) =>
    utf8(
      JSON.stringify({
        pattern: `^n${i % 3}`,
        names: Array.from({ length: 200 }, (_, n) => `n${n % 3}-${'x'.repeat(50)}`),
      }),
    )
  for (let i = 0; i < 600; i++) {
    const answer = instance.ask('t/matches', input(i), 0n)
    const names = answer.kind === 'value' ? (answer.value as readonly string[]) : []
    if (names.length < 66 || names.some((name) => !name.startsWith(`n${i % 3}`))) expect(answer).toBe(i)
  }
  expect(instance.memoryBytes()).toBeLessThan(12 * 1024 ** 2)
})

let rawWasm: Uint8Array
let preparedWasm: Uint8Array
beforeAll(async () => {
  rawWasm = await unpreparedWasmOf(rego, rules)
  preparedWasm = prepareModule(rawWasm)
})

test('a set comes in the order of OPA, however an answer is asked for, and an array in its own', async () => {
  const policy = await openRego(
    `package t
set := {x | some x in input}
inside := {"a": [{x | some x in input}], "none": set()}
array := input
empty := set()
keyed := {1: "one", [2]: "two"}`,
    ['t/set', 't/inside', 't/array', 't/empty', 't/keyed'],
  )
  const words = fc.uniqueArray(fc.oneof(fc.string({ unit: 'grapheme-ascii' }), fc.integer(), fc.boolean()), {
    maxLength: 12,
  })
  fc.assert(
    fc.property(words, (input) => {
      for (const entrypoint of policy.entrypoints) {
        expect(policy.evaluateText(entrypoint, JSON.stringify(input), 0n)).toEqual(
          policy.evaluate(entrypoint, input, 0n),
        )
      }
      expect(policy.evaluateText('t/array', JSON.stringify(input), 0n)).toEqual({ ok: true, value: input })
    }),
  )
  expect(policy.evaluateText('t/set', '["b", 2, "a", 10, true, "b"]', 0n)).toEqual({
    ok: true,
    value: [true, 2, 10, 'a', 'b'],
  })
  expect(policy.evaluateText('t/empty', '[]', 0n)).toEqual({ ok: true, value: [] })
})

test('two answers that begin alike are two, and one that is known is not changed by who had it', async () => {
  const policy = await openRego('package t\nr := [input, "x"]', ['t/r'])
  const ask = (input: string) => policy.evaluateText('t/r', JSON.stringify(input), 0n)
  for (let i = 0; i < 1000; i++) expect(ask(`${i % 300}`)).toEqual({ ok: true, value: [`${i % 300}`, 'x'] })
  expect(ask('a'.repeat(5000))).toEqual({ ok: true, value: ['a'.repeat(5000), 'x'] })
  const known = ask('1') as unknown as { value: string[] }
  expect(() => known.value.push('y')).toThrow(TypeError)
})
