/**
 * Prepares a compiled policy.wasm for long service: its work can be bounded, and its stack pointer put back.
 *
 * A host cannot interrupt WebAssembly, so the code itself counts its steps (see wasm/meter.ts) down from an exported
 * global. A host that knows nothing of that runs the module as before: there are more steps than it will ever take.
 * An evaluation that ends in an error unwinds past C frames and leaves the shadow stack (64 KiB) where it was; after
 * some 512 of them the instance is dead. With the stack pointer exported the host puts it back. And a host that is
 * handed a WebAssembly.Module cannot see what memory its import asks for, so that number goes into a custom section.
 */

import { equalBytes } from '../core/bytes.ts'
import { paidCalls } from './wasm/calls.ts'
import { op, valueType } from './wasm/instructions.ts'
import { type Body, type BodyContext, isMetered, meterBody, readBody, startBody } from './wasm/meter.ts'
import { invalid, leb, nameBytes, Reader, signedLeb } from './wasm/reader.ts'
import {
  isMutableI32,
  kind,
  type Outline,
  readBodies,
  readOutline,
  readSections,
  type Section,
  section,
  withItem,
  writeBodies,
  writeModule,
} from './wasm/sections.ts'

export const stackPointerName = '__stack_pointer'

/** A mutable i64: the steps of work that are left. Below zero, none was. */
export const workLeftName = 'writ_work_left'

/** Custom section that holds the minimum of the memory import, in pages of 64 KiB, as LEB128. */
export const memorySectionName = 'writ.memory'

const unlimited = 2n ** 63n - 1n

/** For the function that runs when an instance is made, which no host can stop: OPA's takes some 300. */
const startSteps = 10_000_000n

/** The module with all additions. A prepared module comes back as it is; what is no policy is `policy_invalid`. */
export function prepareModule(wasm: Uint8Array): Uint8Array {
  const sections = readSections(wasm)
  const outline = readOutline(sections)
  const noted = notedMinimum(sections)
  if (noted !== undefined && noted !== outline.imports.memoryMinimum) {
    throw invalid('its note on memory is not what its import says')
  }
  const exported = exportOf(outline, stackPointerName)
  const workLeft = exportOf(outline, workLeftName)
  checkGlobals(outline, workLeft !== undefined)
  if (exported !== undefined && exported !== 0) throw invalid(`it exports something else as ${stackPointerName}`)

  const metered = workLeft === undefined ? withMetering(sections, outline) : sections
  if (workLeft !== undefined) checkMetering(sections, outline, workLeft)
  if (workLeft !== undefined && noted !== undefined && exported !== undefined) return wasm
  const whole = exported === undefined ? withExport(metered, stackPointerName, 0) : metered
  return writeModule(noted === undefined ? [...whole, memoryNote(outline.imports.memoryMinimum)] : whole)
}

/** Reads the note from a section's content, as `WebAssembly.Module.customSections` gives it. */
export function readMemoryNote(content: Uint8Array): number {
  const at = new Reader(content)
  const pages = at.u32()
  at.end()
  return pages
}

/** The number of the global that is exported under a name. */
function exportOf(outline: Outline, name: string): number | undefined {
  const found = outline.exports.filter((one) => one.name === name)
  if (found.some((one) => one.kind !== kind.global)) throw invalid(`it exports something else as ${name}`)
  return found[0]?.index
}

/**
 * Global 0 is the stack pointer that clang gives every module: a mutable i32, and no import shifts its number. There is
 * no other state beside the memory, so that an image of that is an image of the whole.
 */
function checkGlobals({ globals }: Outline, metered: boolean): void {
  if (!isMutableI32(globals[0])) throw invalid('it has no stack pointer')
  const own = metered ? globals.slice(0, -1) : globals
  if (own.slice(1).some(({ mutable }) => mutable)) throw invalid('it has a second global that may change')
}

/** The numbers of what is added are those behind all that is there. */
function withMetering(sections: readonly Section[], outline: Outline): readonly Section[] {
  const { functions, globals, start, imports } = outline
  const count = imports.functions + functions.length
  checkNames(outline, count, globals.length)
  const bodies = metering(readBodies(sections), outline, count, globals.length).map(({ body, paid, context }) =>
    meterBody(body, paid, context),
  )

  const global = [valueType.i64, 1, op.i64Const, ...signedLeb(unlimited), op.end]
  const metered = sections.map((one) => {
    if (one.id === section.globals) return withItem(one, global)
    if (one.id === section.functions && start !== undefined) return withItem(one, leb(startType(outline, start)))
    if (one.id === section.start) return { id: one.id, body: Uint8Array.from(leb(count)) }
    if (one.id !== section.code) return one
    return writeBodies(
      start === undefined ? bodies : [...bodies, startBody(globals.length, start, startSteps, unlimited)],
    )
  })
  return withExport(metered, workLeftName, globals.length)
}

/** Such an export alone says nothing: the code must be what preparing would have made of it. */
function checkMetering(sections: readonly Section[], outline: Outline, workLeft: number): void {
  const { functions, globals, start, imports } = outline
  const own = globals.length - 1
  const last = globals[own]
  if (workLeft !== own || last?.type !== valueType.i64 || !last.mutable) throw notMetered()
  const bodies = readBodies(sections)
  const added = start === undefined ? 0 : 1
  const count = imports.functions + functions.length - added
  // The start function gives steps, so nothing may call it again.
  checkNames({ ...outline, exports: outline.exports.filter((one) => one.name !== workLeftName) }, count, own)
  const plain = { ...outline, functions: functions.slice(0, functions.length - added) }
  const metered = metering(bodies.slice(0, plain.functions.length), plain, count, own)
  if (!metered.every(({ body, paid, context }) => isMetered(body, paid, context))) throw notMetered()
  if (start === undefined) return
  if (start !== count || bodies.length !== functions.length || !isStart(bodies.at(-1)!, count, own)) throw notMetered()
}

interface Metering {
  readonly body: Body
  readonly paid: boolean
  readonly context: BodyContext
}

/** How each function is metered, whether that is still to be done or to be found. */
function metering(
  bodies: readonly Uint8Array[],
  outline: Outline,
  functions: number,
  steps: number,
): readonly Metering[] {
  if (bodies.length !== outline.functions.length) throw invalid('it has not as many bodies as functions')
  const read = bodies.map((bytes, i) => {
    const context = contextOf(outline, i, functions, steps)
    return { body: readBody(bytes, context), context }
  })
  const paid = paidCalls(
    read.map(({ body }) => body),
    outline.imports.functions,
  )
  return read.map((one, i) => ({ ...one, paid: paid[i]! }))
}

function isStart(body: Uint8Array, functions: number, steps: number): boolean {
  const at = new Reader(body)
  const prefix = [0, op.i64Const, ...signedLeb(startSteps), op.globalSet, ...leb(steps), op.call]
  at.bytes(prefix.length)
  const called = at.u32()
  return called < functions && equalBytes(body, startBody(steps, called, startSteps, unlimited))
}

/** What is added has the next number: nothing may have named it before it was there. */
function checkNames({ exports, inTables }: Outline, functions: number, globals: number): void {
  const known = exports.every(
    (one) => (one.kind !== kind.func || one.index < functions) && (one.kind !== kind.global || one.index < globals),
  )
  if (!known || inTables.some((index) => index >= functions)) throw invalid('it names what it does not have')
}

function contextOf(outline: Outline, i: number, functions: number, steps: number): BodyContext {
  const parameters = outline.parameters[outline.functions[i] ?? -1]
  if (parameters === undefined) throw invalid('a function of a type that it does not have')
  return { parameters, functions, globals: steps, steps }
}

function startType({ functions, imports }: Outline, start: number): number {
  const type = functions[start - imports.functions]
  if (type === undefined) throw invalid('it starts with a function that is not its own')
  return type
}

const withExport = (sections: readonly Section[], name: string, global: number): readonly Section[] =>
  sections.map((one) =>
    one.id === section.exports ? withItem(one, [...nameBytes(name), kind.global, ...leb(global)]) : one,
  )

function notedMinimum(sections: readonly Section[]): number | undefined {
  let noted: number | undefined
  for (const { id, body } of sections) {
    if (id !== section.custom) continue
    const at = new Reader(body)
    if (at.name() !== memorySectionName) continue
    if (noted !== undefined) throw invalid('it has two notes on memory')
    noted = readMemoryNote(body.subarray(at.at))
  }
  return noted
}

const memoryNote = (pages: number): Section => ({
  id: section.custom,
  body: Uint8Array.from([...nameBytes(memorySectionName), ...leb(pages)]),
})

const notMetered = () => invalid(`it exports ${workLeftName} and does not count its work by it`)
