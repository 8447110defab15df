/** The sections of a WebAssembly module (core 5.5), and the content of those that tell what a policy is made of. */

import { concat } from '../../core/bytes.ts'
import { op, readInstruction, readValueType, valueType } from './instructions.ts'
import { invalid, leb, Reader } from './reader.ts'

export interface Section {
  readonly id: number
  readonly body: Uint8Array
}

export const section = {
  custom: 0,
  types: 1,
  imports: 2,
  functions: 3,
  memories: 5,
  globals: 6,
  exports: 7,
  start: 8,
  elements: 9,
  code: 10,
} as const
export const kind = { func: 0, table: 1, memory: 2, global: 3, tag: 4 } as const

/** Sections in the order that a module must have them (core 5.5.2); custom ones (0) may stand anywhere. */
const sectionOrder = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11]
const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

export function readSections(wasm: Uint8Array): readonly Section[] {
  if (magic.some((byte, i) => wasm[i] !== byte)) throw invalid('it is not WebAssembly 1')
  const sections: Section[] = []
  const at = new Reader(wasm.subarray(8))
  let last = -1
  while (!at.done()) {
    const id = at.byte()
    const body = at.bytes(at.u32())
    if (id !== section.custom) {
      const place = sectionOrder.indexOf(id)
      if (place <= last) throw invalid(`section ${id} is unknown, repeated or out of order`)
      last = place
    }
    sections.push({ id, body })
  }
  return sections
}

export const writeModule = (sections: readonly Section[]): Uint8Array =>
  concat(
    Uint8Array.from(magic),
    ...sections.flatMap(({ id, body }) => [Uint8Array.from([id, ...leb(body.length)]), body]),
  )

/** The same vector with one item more. */
export function withItem({ id, body }: Section, item: readonly number[]): Section {
  const at = new Reader(body)
  const count = at.u32()
  return { id, body: concat(Uint8Array.from(leb(count + 1)), body.subarray(at.at), Uint8Array.from(item)) }
}

export interface Imports {
  readonly functions: number
  /** Pages of 64 KiB that the imported memory must have. */
  readonly memoryMinimum: number
}

export interface Export {
  readonly name: string
  readonly kind: number
  readonly index: number
}

/** What numbers mean in this module. */
export interface Outline {
  readonly imports: Imports
  /** How many parameters a function of each type has. */
  readonly parameters: readonly number[]
  /** The type of each function of its own. */
  readonly functions: readonly number[]
  /** Whether each global may change. */
  readonly globals: readonly { readonly type: number; readonly mutable: boolean }[]
  readonly exports: readonly Export[]
  readonly start: number | undefined
  /** Functions that can be called by their place in a table. */
  readonly inTables: readonly number[]
}

export function readOutline(sections: readonly Section[]): Outline {
  const at = (id: number): Reader | undefined => {
    const found = sections.find((one) => one.id === id)
    return found && new Reader(found.body)
  }
  const needed = (id: number, what: string): Reader => {
    const found = at(id)
    if (!found) throw invalid(`it has no ${what}`)
    return found
  }
  const imports = whole(needed(section.imports, 'imports'), readImports)
  const memories = at(section.memories)
  if (memories && memories.u32() > 0) throw invalid('it has a memory of its own')
  const optional = <T>(id: number, read: (from: Reader) => readonly T[]): readonly T[] => {
    const found = at(id)
    return found ? whole(found, read) : []
  }
  const start = at(section.start)
  return {
    imports,
    parameters: optional(section.types, (from) => from.vector(() => readFunctionType(from))),
    functions: optional(section.functions, (from) => from.vector(() => from.u32())),
    globals: whole(needed(section.globals, 'globals'), (from) => from.vector(() => readGlobal(from))),
    exports: whole(needed(section.exports, 'exports'), (from) => from.vector(() => readExport(from))),
    start: start && whole(start, (from) => from.u32()),
    inTables: optional(section.elements, (from) => from.vector(() => readElements(from)).flat()),
  }
}

/** The body of each function of its own. */
export function readBodies(sections: readonly Section[]): readonly Uint8Array[] {
  const code = sections.find((one) => one.id === section.code)
  return code ? whole(new Reader(code.body), (from) => from.vector(() => from.bytes(from.u32()))) : []
}

export function writeBodies(bodies: readonly Uint8Array[]): Section {
  const parts = bodies.flatMap((body) => [Uint8Array.from(leb(body.length)), body])
  return { id: section.code, body: concat(Uint8Array.from(leb(bodies.length)), ...parts) }
}

function whole<T>(from: Reader, read: (from: Reader) => T): T {
  const content = read(from)
  from.end()
  return content
}

function readImports(at: Reader): Imports {
  let functions = 0
  let memoryMinimum: number | undefined
  for (let left = at.u32(); left > 0; left--) {
    const name = `${at.name()}.${at.name()}`
    const what = at.byte()
    if (what === kind.func) {
      at.u32()
      functions++
    } else if (what === kind.table) {
      at.byte()
      at.limits()
    } else if (what === kind.memory) {
      if (memoryMinimum !== undefined || name !== 'env.memory') {
        throw invalid('it imports another memory than env.memory')
      }
      memoryMinimum = at.limits()
    } else throw invalid(`it imports ${name}, which no policy does`)
  }
  if (memoryMinimum === undefined) throw invalid('it imports no memory')
  return { functions, memoryMinimum }
}

function readFunctionType(at: Reader): number {
  if (at.byte() !== 0x60) throw invalid('a type that is no function')
  const parameters = at.vector(() => readValueType(at)).length
  at.vector(() => readValueType(at))
  return parameters
}

function readGlobal(at: Reader): { readonly type: number; readonly mutable: boolean } {
  const type = readValueType(at)
  const mutable = at.byte()
  if (mutable > 1) throw invalid('a global that neither may change nor may not')
  readConstant(at)
  return { type, mutable: mutable === 1 }
}

/** One constant, and its end. */
function readConstant(at: Reader): void {
  const { opcode } = readInstruction(at)
  if (opcode < op.i32Const || opcode > 0x44) throw invalid('a value at the start that is no constant')
  if (readInstruction(at).opcode !== op.end) throw invalid('a value at the start that is calculated')
}

function readExport(at: Reader): Export {
  const one = { name: at.name(), kind: at.byte(), index: at.u32() }
  if (one.kind > kind.tag) throw invalid(`it exports ${one.name} as what WebAssembly does not have`)
  return one
}

/** Only lists of functions; those of references in general are what no compiler of policies writes. */
function readElements(at: Reader): readonly number[] {
  const form = at.u32()
  if (form > 3) throw invalid('a table is filled with what is no list of functions')
  if (form === 2) at.u32()
  if (form === 0 || form === 2) readConstant(at)
  if (form > 0 && at.byte() !== 0) throw invalid('a table is filled with what is no function')
  return at.vector(() => at.u32())
}

export const isMutableI32 = (global: { readonly type: number; readonly mutable: boolean } | undefined): boolean =>
  global?.type === valueType.i32 && global.mutable
