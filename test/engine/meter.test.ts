import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WritError } from '../../core/fault.ts'
import { prepareModule, workLeftName } from '../../engine/module.ts'
import { nameBytes } from '../../engine/wasm/reader.ts'
import { readSections, writeModule } from '../../engine/wasm/sections.ts'
import { call, type HandWritten, loop, moduleOf } from './metered.ts'

const max = 2n ** 63n - 1n

interface Running {
  readonly left: { value: bigint }
  run(name: string): void
}

function instanceOf(bytes: Uint8Array): Running {
  const memory = new WebAssembly.Memory({ initial: 1 })
  const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>)
  const { exports } = new WebAssembly.Instance(module, { env: { memory } })
  return {
    left: exports[workLeftName] as unknown as { value: bigint },
    run: (name) => (exports[name] as () => void)(),
  }
}

/** Steps that a function takes, or undefined where it takes more than are given. */
function stepsOf(written: HandWritten, name = 'f0', given = 1_000_000n): bigint | undefined {
  const { left, run } = instanceOf(prepareModule(moduleOf(written)))
  left.value = given
  try {
    run(name)
    return given - left.value
  } catch (thrown) {
    if (!(thrown instanceof WebAssembly.RuntimeError)) throw thrown
    expect(left.value).toBeLessThan(0n)
    return undefined
  }
}

function refusal(bytes: Uint8Array): string | undefined {
  try {
    prepareModule(bytes)
    return undefined
  } catch (thrown) {
    if (thrown instanceof WritError && thrown.code === 'policy_invalid') return thrown.message
    throw thrown
  }
}

test('each turn of a loop is a step, and what has no loop and calls nothing takes none', () => {
  expect(stepsOf({ functions: [{ code: [] }] })).toBe(0n)
  expect(stepsOf({ functions: [{ locals: 1, code: loop(1000) }] })).toBe(1000n)
  const inner = [0x41, 5, 0x21, 1, 0x03, 0x40, 0x20, 1, 0x41, 1, 0x6b, 0x22, 1, 0x0d, 0, 0x0b]
  expect(stepsOf({ functions: [{ locals: 2, code: loop(10, inner) }] })).toBe(60n)
})

test('the last step is given, and the one behind it traps', () => {
  const functions = [{ locals: 1, code: loop(1000) }]
  expect(stepsOf({ functions }, 'f0', 1000n)).toBe(1000n)
  expect(stepsOf({ functions }, 'f0', 999n)).toBeUndefined()
  expect(stepsOf({ functions: [{ code: [0x03, 0x40, 0x0c, 0, 0x0b] }] })).toBeUndefined()
})

test('calls that double at each of forty levels end, without a loop in any function', () => {
  const functions = Array.from({ length: 41 }, (_, i) => ({ code: i === 40 ? [] : [...call(i + 1), ...call(i + 1)] }))
  expect(stepsOf({ functions })).toBeUndefined()
  expect(stepsOf({ functions }, 'f30')).toBeGreaterThan(0n)
  expect(stepsOf({ functions }, 'f38')).toBe(0n)
})

test('functions that call each other in a circle, themselves, or through a table are paid for', () => {
  const downTo = (next: readonly number[]) => [0x23, 0, 0x04, 0x40, 0x23, 0, 0x41, 1, 0x6b, 0x24, 0, ...next, 0x0b]
  const set = [0x41, 50, 0x24, 0]
  const run = (next: readonly number[], more: HandWritten['functions'] = [], table: readonly number[] = []) =>
    stepsOf({ functions: [{ code: [...set, ...call(1)] }, { code: downTo(next) }, ...more], table })
  expect(run(call(1))).toBe(51n)
  expect(run(call(2), [{ code: call(1) }])).toBe(51n)
  expect(run([0x41, 0, 0x11, 0, 0], [], [1])).toBe(51n)
})

test('bytes that are copied or filled at once are paid for by their number', () => {
  const fill = (length: readonly number[]) => [0x41, 0, 0x41, 7, 0x41, ...length, 0xfc, 11, 0]
  const copy = (length: readonly number[]) => [0x41, 0, 0x41, 0, 0x41, ...length, 0xfc, 10, 0, 0]
  expect(stepsOf({ functions: [{ code: fill([63]) }] })).toBe(0n)
  expect(stepsOf({ functions: [{ code: fill([0xc0, 0]) }] })).toBe(1n)
  expect(stepsOf({ functions: [{ locals: 2, code: [...copy([0x80, 0x20]), ...fill([0x80, 0x20])] }] })).toBe(128n)
})

test('a start function that does not end is stopped when the instance is made; one that does leaves all steps', () => {
  const of = (code: readonly number[]) => prepareModule(moduleOf({ functions: [{ locals: 1, code }], start: 0 }))
  expect(() => instanceOf(of([0x03, 0x40, 0x0c, 0, 0x0b]))).toThrow(WebAssembly.RuntimeError)
  expect(instanceOf(of(loop(1000))).left.value).toBe(max)
})

test('a host that knows nothing of steps runs the module as it was', () => {
  const { left, run } = instanceOf(prepareModule(moduleOf({ functions: [{ locals: 1, code: loop(1_000_000) }] })))
  expect(left.value).toBe(max)
  run('f0')
  expect(left.value).toBe(max - 1_000_000n)
})

const circle: HandWritten = {
  functions: [{ locals: 1, code: loop(3) }, { code: [...call(0), ...call(1)] }, { code: [] }],
  start: 2,
}

test('a module that was prepared before is left as it is', () => {
  const prepared = prepareModule(moduleOf(circle))
  expect(prepareModule(prepared)).toBe(prepared)
})

test('the bytes of a prepared module are the same for ever', () => {
  const of = (written: HandWritten) =>
    createHash('sha256')
      .update(prepareModule(moduleOf(written)))
      .digest('hex')
  expect(of(circle)).toBe('f34a95f6b7f68585b36a2147e08262320c764510faeb518c26180181623cc84c')
})

/** A module that says it is prepared: its functions, of which some steps may be left out or given back. */
function pretender(functions: HandWritten['functions'], more: Partial<HandWritten> = {}): Uint8Array {
  const full = [0x7e, 1, 0x42, ...[...Array(9).fill(0xff), 0x00], 0x0b]
  return moduleOf({
    functions,
    globals: [full],
    exports: [
      [...nameBytes('__stack_pointer'), 3, 0],
      [...nameBytes('writ_work_left'), 3, 1],
    ],
    ...more,
  })
}
const pay = [0x23, 1, 0x42, 1, 0x7d, 0x24, 1, 0x23, 1, 0x42, 0, 0x53, 0x04, 0x40, 0x00, 0x0b]
const giveBack = [0x42, 0xe4, 0, 0x24, 1]
const forever = (inside: readonly number[]) => [0x03, 0x40, ...inside, 0x0c, 0, 0x0b]

test('a module that pretends to be metered is refused wherever a step is missing or given back', () => {
  expect(refusal(pretender([{ code: forever(pay) }]))).toBeUndefined()
  for (const code of [
    forever([]),
    forever([0x01, ...pay]),
    forever([...pay, ...giveBack]),
    [...forever(pay), ...giveBack],
    giveBack,
    [0x23, 1, 0x1a],
    forever([0x0c, 1, ...pay]),
    [...forever(pay), ...forever([])],
    call(0),
    [...call(0), ...pay],
  ]) {
    expect(refusal(pretender([{ code }])), code.join(' ')).toMatch('does not count its work')
  }
  expect(refusal(pretender([{ code: [...pay, ...call(0)] }]))).toBeUndefined()
})

test('a payment that stands only in the bytes of a constant is none', () => {
  const fill = (before: readonly number[]) => [0x41, 0, 0x41, 7, 0x41, 9, ...before, 0xfc, 11, 0]
  const paid = [0x22, 0, 0x23, 1, 0x20, 0, 0x41, 6, 0x76, 0xad, 0x7d, ...pay.slice(5)]
  expect(refusal(pretender([{ locals: 1, code: fill(paid) }]))).toBeUndefined()
  expect(refusal(pretender([{ locals: 1, code: fill([]) }]))).toMatch('does not count')
  const hidden = [0x0e, ...[paid.length], ...paid, 0]
  expect(refusal(pretender([{ locals: 1, code: [0x03, 0x40, ...hidden, 0x0b, ...fill([])] }]))).toBeDefined()
})

test('the function that gives steps at the start cannot be called again', () => {
  const prepared = prepareModule(moduleOf({ functions: [{ code: [] }, { code: [] }], start: 0, table: [0] }))
  expect(prepareModule(prepared)).toBe(prepared)
  const changed = (id: number, change: (body: Uint8Array) => void) =>
    writeModule(
      readSections(prepared).map((one) => {
        const body = one.body.slice()
        if (one.id === id) change(body)
        return { id: one.id, body }
      }),
    )
  const replace = (from: number, to: number) => (body: Uint8Array) => {
    body[body.lastIndexOf(from)] = to
  }
  // In the table, as an export, as another start; and one that gives more.
  expect(refusal(changed(9, replace(0, 2)))).toMatch('names what it does not have')
  expect(refusal(changed(7, (body) => void (body[body.indexOf(0x31) + 2] = 2)))).toMatch('names what it does not have')
  expect(refusal(changed(8, replace(2, 1)))).toMatch('does not count')
  expect(refusal(changed(10, replace(0xe2, 0xe3)))).toMatch(/does not count|names/)
  expect(refusal(pretender([{ code: [] }, { code: call(1) }], { start: 1 }))).toMatch(/does not count|names/)
})

test('code that names what would be added is refused before it is added', () => {
  for (const code of [[0x23, 1, 0x1a], giveBack, call(1), [0xd2, 1, 0x1a], [0x20, 0, 0x1a]]) {
    expect(refusal(moduleOf({ functions: [{ code }] })), code.join(' ')).toMatch('names what it does not have')
  }
  const one = { functions: [{ code: [] }] }
  expect(refusal(moduleOf({ ...one, exports: [[1, 0x78, 0, 1]] }))).toMatch('names what it does not have')
  expect(refusal(moduleOf({ ...one, exports: [[1, 0x78, 3, 1]] }))).toMatch('names what it does not have')
  expect(refusal(moduleOf({ ...one, table: [1], start: 0 }))).toMatch('names what it does not have')
})

test('a policy has no state beside its memory and its stack pointer', () => {
  const immutable = [0x7f, 0, 0x41, 0, 0x0b]
  const mutable = [0x7f, 1, 0x41, 0, 0x0b]
  const functions = [{ code: [] }]
  expect(refusal(moduleOf({ functions, globals: [immutable] }))).toBeUndefined()
  expect(refusal(moduleOf({ functions, globals: [mutable] }))).toMatch('second global')
  for (const code of [
    [0x41, 0, 0xd0, 0x70, 0x26, 0], // table.set
    [0xd0, 0x70, 0x41, 1, 0xfc, 15, 0, 0x1a], // table.grow
    [0xfc, 9, 0], // data.drop
    [0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 8, 0, 0], // memory.init
  ]) {
    expect(refusal(moduleOf({ functions: [{ code }] })), code.join(' ')).toMatch('instruction that')
  }
})

test('each instruction that is known is read to its end, and unknown ones are refused', () => {
  const known = [
    [0x01],
    [0x41, 0, 0x04, 0x7f, 0x41, 1, 0x05, 0x41, 2, 0x0b, 0x1a],
    [0x02, 0x40, 0x41, 0, 0x0e, 1, 0, 0, 0x0b],
    [0x41, 1, 0x41, 2, 0x41, 0, 0x1c, 1, 0x7f, 0x1a],
    [0x41, 0, 0x28, 2, 0x80, 0x80, 1, 0x1a],
    [0x3f, 0, 0x40, 0, 0x1a],
    [0x43, 0x0b, 0x0b, 0x0b, 0x0b, 0xfc, 0, 0x1a],
    [0x44, ...Array(8).fill(0x03), 0xfc, 6, 0x1a],
    [0x41, 0xff, 0xff, 0xff, 0xff, 0x07, 0xc0, 0x1a],
    [0x42, ...Array(9).fill(0x80), 0x7f, 0xc4, 0x1a],
    [0xd0, 0x70, 0xd1, 0x1a],
    [0xd2, 0, 0x1a],
    [0x41, 0, 0x25, 0, 0x1a, 0xfc, 16, 0, 0x1a],
  ]
  for (const code of known) {
    const bytes = moduleOf({ functions: [{ locals: 1, code: [...code, ...loop(2)] }] })
    expect(WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>), code.join(' ')).toBe(true)
    expect(WebAssembly.validate(prepareModule(bytes) as Uint8Array<ArrayBuffer>), code.join(' ')).toBe(true)
  }
  for (const code of [
    [0x06, 0x40],
    [0x12, 0],
    [0xfd, 0x0c],
    [0xfe, 0x03],
    [0xfb, 0],
    [0xfc, 18],
    [0x28, 0x42, 0, 0],
  ]) {
    expect(refusal(moduleOf({ functions: [{ code }] })), code.join(' ')).toBeDefined()
  }
})

test('code of any bytes is refused, or validates after preparing just where it did before, and is left as it is then', () => {
  const part = fc.constantFrom<readonly number[]>(
    ...[[0x03, 0x40], [0x02, 0x40], [0x0b], [0x41, 0], [0x0d, 0], [0x1a], call(0), call(1), [0x23, 0], [0x24, 0], pay],
    ...[[0x20, 0], [0x22, 0], [0xfc, 11, 0], [0x04, 0x40], [0x05], [0x0f], [0x00], loop(3), [0x11, 0, 0], [0x24, 1]],
  )
  const code = fc.oneof(
    fc.array(part, { maxLength: 12 }).map((parts) => parts.flat()),
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 24 }),
  )
  fc.assert(
    fc.property(code, code, fc.boolean(), (one, two, pretends) => {
      const functions = [{ locals: 1, code: one }, { code: two }]
      const bytes = pretends ? pretender(functions) : moduleOf({ functions, start: 1, table: [0] })
      if (refusal(bytes) !== undefined) return
      const prepared = prepareModule(bytes)
      expect(WebAssembly.validate(prepared as Uint8Array<ArrayBuffer>)).toBe(
        WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>),
      )
      expect(prepareModule(prepared)).toBe(prepared)
    }),
    { numRuns: Number(process.env['WRIT_FUZZ'] ?? 3000) },
  )
})
