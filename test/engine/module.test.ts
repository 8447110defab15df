import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { concat } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { memorySectionName, prepareModule, readMemoryNote } from '../../engine/module.ts'
import { unpreparedWasmOf } from './compiled.ts'

let wasm: Uint8Array
beforeAll(async () => {
  wasm = await unpreparedWasmOf('package t\nr := input', ['t/r'])
})

const compile = (bytes: Uint8Array) => new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>)

const pagesOf = (bytes: Uint8Array) =>
  readMemoryNote(new Uint8Array(WebAssembly.Module.customSections(compile(bytes), memorySectionName)[0]!))

/** The code of what is thrown, where it is ours; anything else fails the test. */
function refusal(bytes: Uint8Array): string | undefined {
  try {
    prepareModule(bytes)
    return undefined
  } catch (thrown) {
    if (thrown instanceof WritError) return thrown.code
    throw thrown
  }
}

/** A module as small as a policy can be, with a choice at each place that matters. */
function small(given: {
  memory?: number[]
  global?: number[]
  exports?: number[]
  before?: number[]
  after?: number[]
}) {
  const { memory = [2, 0, 2], global = [0x7f, 1, 0x41, 0, 0x0b], exports = [0], before = [], after = [] } = given
  const imports = [1, 3, ...ascii('env'), 6, ...ascii('memory'), ...memory]
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[...before, 2, imports.length, ...imports],
    ...[6, global.length + 1, 1, ...global],
    ...[7, exports.length, ...exports, ...after],
  ])
}
const ascii = (text: string) => [...text].map((char) => char.charCodeAt(0))

test('a compiled policy gains two exports, the steps and the stack pointer, and a note of its memory', () => {
  const prepared = prepareModule(wasm)
  const names = (bytes: Uint8Array) => WebAssembly.Module.exports(compile(bytes)).map(({ name }) => name)
  expect(names(prepared)).toEqual([...names(wasm), 'writ_work_left', '__stack_pointer'])
  expect(WebAssembly.Module.imports(compile(prepared))).toEqual(WebAssembly.Module.imports(compile(wasm)))
  expect(pagesOf(prepared)).toBe(2)
  expect(prepared.length / wasm.length).toBeLessThan(1.1)
})

test('a prepared module is left as it is', () => {
  const prepared = prepareModule(wasm)
  expect(prepareModule(prepared)).toBe(prepared)
})

test('the memory note is the minimum of the import, whatever its form', () => {
  expect(pagesOf(prepareModule(small({})))).toBe(2)
  expect(pagesOf(prepareModule(small({ memory: [2, 1, 0xac, 0x02, 0xff, 0x7f] })))).toBe(300)
  expect(refusal(small({ memory: [2, 3, 2, 4] }))).toBe('policy_invalid')
})

test('global 0 must be a mutable i32', () => {
  expect(refusal(small({}))).toBeUndefined()
  expect(refusal(small({ global: [0x7f, 0, 0x41, 0, 0x0b] }))).toBe('policy_invalid')
  expect(refusal(small({ global: [0x7e, 1, 0x42, 0, 0x0b] }))).toBe('policy_invalid')
})

test('an imported global, which would shift the number, is refused', () => {
  expect(refusal(small({ memory: [3, 0x7f, 1] }))).toBe('policy_invalid')
})

test('a name that already stands for something else is refused', () => {
  const named = (kind: number, index: number) => [1, 15, ...ascii('__stack_pointer'), kind, index]
  expect(refusal(small({ exports: named(3, 0) }))).toBeUndefined()
  expect(refusal(small({ exports: named(3, 1) }))).toBe('policy_invalid')
  expect(refusal(small({ exports: named(2, 0) }))).toBe('policy_invalid')
})

test('a module that has one of the two additions gains only the other', () => {
  const exporting = small({ exports: [1, 15, ...ascii('__stack_pointer'), 3, 0] })
  const prepared = prepareModule(exporting)
  expect(WebAssembly.Module.exports(compile(prepared)).map(({ name }) => name)).toEqual([
    '__stack_pointer',
    'writ_work_left',
  ])
  expect(pagesOf(prepared)).toBe(2)
})

test('sections may stand once and in order, custom ones anywhere', () => {
  const custom = [0, 2, 1, 0x78]
  expect(refusal(small({ before: custom, after: custom }))).toBeUndefined()
  expect(refusal(small({ after: [7, 1, 0] }))).toBe('policy_invalid')
  expect(refusal(small({ after: [6, 1, 0] }))).toBe('policy_invalid')
  expect(refusal(small({ after: [99, 1, 0] }))).toBe('policy_invalid')
  expect(refusal(small({ exports: [0, 0] }))).toBe('policy_invalid')
})

test('a note that lies about the memory is refused', () => {
  const note = (pages: number) => [0, 13, 11, ...ascii(memorySectionName), pages]
  expect(refusal(small({ after: note(2) }))).toBeUndefined()
  expect(refusal(small({ after: note(3) }))).toBe('policy_invalid')
  expect(refusal(small({ after: [...note(2), ...note(2)] }))).toBe('policy_invalid')
})

test('arbitrary bytes are refused and never crash the reader', () => {
  const header = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, headed) => {
      expect(refusal(headed ? concat(header, bytes) : bytes)).toBe('policy_invalid')
    }),
  )
})

/** Where a module may end and still be one. */
function sectionEnds(bytes: Uint8Array): ReadonlySet<number> {
  const ends = new Set<number>()
  for (let at = 8; at < bytes.length; ends.add(at)) {
    let size = 0
    let shift = 0
    for (at++; bytes[at]! >= 0x80; at++, shift += 7) size |= (bytes[at]! & 0x7f) << shift
    size |= bytes[at]! << shift
    at += 1 + size
  }
  return ends
}

test('a policy cut short within a section is refused', () => {
  const ends = sectionEnds(wasm)
  expect(ends).toContain(wasm.length)
  fc.assert(
    fc.property(fc.nat({ max: wasm.length - 1 }), (length) => {
      if (!ends.has(length)) expect(refusal(wasm.slice(0, length))).toBe('policy_invalid')
    }),
    { numRuns: 300 },
  )
})

test('whatever one changed byte does, the result is refused or keeps every section and stays as it is', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 255 }), (where, flip) => {
      const changed = wasm.slice()
      // Most of it is code; what stands before that is short and matters more.
      changed[Math.min(wasm.length - 1, Math.floor(where ** 8 * wasm.length))]! ^= flip
      if (refusal(changed) !== undefined) return
      const prepared = prepareModule(changed)
      expect(prepareModule(prepared)).toBe(prepared)
      expect(WebAssembly.validate(prepared as Uint8Array<ArrayBuffer>)).toBe(
        WebAssembly.validate(changed as Uint8Array<ArrayBuffer>),
      )
    }),
    { numRuns: 300 },
  )
})
