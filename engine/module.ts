/**
 * Prepares a compiled policy.wasm for long service: exports its stack pointer and notes how much memory it needs.
 *
 * An evaluation that ends in an error unwinds past C frames and leaves the shadow stack (64 KiB) where it was; after
 * some 512 of them the instance is dead. With the stack pointer exported the host puts it back. And a host that is
 * handed a WebAssembly.Module cannot see what memory its import asks for, so that number goes into a custom section.
 */

import { concat, utf8 } from '../core/bytes.ts'
import { WritError } from '../core/fault.ts'

export const stackPointerName = '__stack_pointer'

/** Custom section that holds the minimum of the memory import, in pages of 64 KiB, as LEB128. */
export const memorySectionName = 'writ.memory'

/** Sections in the order that a module must have them (WebAssembly core 5.5.2); custom ones (0) may stand anywhere. */
const sectionOrder = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11]
const section = { custom: 0, imports: 2, globals: 6, exports: 7 } as const
const kind = { func: 0, table: 1, memory: 2, global: 3, tag: 4 } as const
const i32 = 0x7f
const mutable = 1

interface Section {
  readonly id: number
  readonly body: Uint8Array
}

/** The module with both additions. A prepared module comes back as it is; what is no policy is `policy_invalid`. */
export function prepareModule(wasm: Uint8Array): Uint8Array {
  const sections = readSections(wasm)
  const minimum = memoryMinimum(sections)
  checkStackPointer(sections)

  const noted = notedMinimum(sections)
  if (noted !== undefined && noted !== minimum) throw invalid('its note on memory is not what its import says')
  const exported = stackPointerExport(sections)
  if (noted !== undefined && exported) return wasm

  return concat(
    wasm.subarray(0, 8),
    ...sections.map((one) => writeSection(one.id === section.exports && !exported ? withStackPointer(one) : one)),
    ...(noted === undefined ? [writeSection(memoryNote(minimum))] : []),
  )
}

/** Reads the note from a section's content, as `WebAssembly.Module.customSections` gives it. */
export function readMemoryNote(content: Uint8Array): number {
  const at = new Reader(content)
  const pages = at.u32()
  at.end()
  return pages
}

/** Pages that the memory import asks for. */
function memoryMinimum(sections: readonly Section[]): number {
  let minimum: number | undefined
  const at = new Reader(only(sections, section.imports, 'imports').body)
  for (let left = at.u32(); left > 0; left--) {
    const name = `${at.name()}.${at.name()}`
    const what = at.byte()
    if (what === kind.func) at.u32()
    else if (what === kind.table) {
      at.byte()
      at.limits()
    } else if (what === kind.memory) {
      if (minimum !== undefined || name !== 'env.memory') throw invalid('it imports another memory than env.memory')
      minimum = at.limits()
    } else throw invalid(`it imports ${name}, which no policy does`)
  }
  at.end()
  if (minimum === undefined) throw invalid('it imports no memory')
  return minimum
}

/** Global 0 is the stack pointer that clang gives every module: a mutable i32, and no import shifts its number. */
function checkStackPointer(sections: readonly Section[]): void {
  const at = new Reader(only(sections, section.globals, 'globals').body)
  if (at.u32() === 0 || at.byte() !== i32 || at.byte() !== mutable) throw invalid('it has no stack pointer')
}

function stackPointerExport(sections: readonly Section[]): boolean {
  let found = false
  const at = new Reader(only(sections, section.exports, 'exports').body)
  for (let left = at.u32(); left > 0; left--) {
    const name = at.name()
    const what = at.byte()
    const index = at.u32()
    if (what > kind.tag) throw invalid(`it exports ${name} as what WebAssembly does not have`)
    if (name !== stackPointerName) continue
    if (what !== kind.global || index !== 0) throw invalid(`it exports something else as ${stackPointerName}`)
    found = true
  }
  at.end()
  return found
}

function withStackPointer({ id, body }: Section): Section {
  const at = new Reader(body)
  const count = at.u32()
  const added = [...name(stackPointerName), kind.global, 0]
  return { id, body: concat(Uint8Array.from(leb(count + 1)), body.subarray(at.at), Uint8Array.from(added)) }
}

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
  body: Uint8Array.from([...name(memorySectionName), ...leb(pages)]),
})

const writeSection = ({ id, body }: Section): Uint8Array => concat(Uint8Array.from([id, ...leb(body.length)]), body)

function only(sections: readonly Section[], id: number, what: string): Section {
  const found = sections.find((one) => one.id === id)
  if (!found) throw invalid(`it has no ${what}`)
  return found
}

function readSections(wasm: Uint8Array): readonly Section[] {
  const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]
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

/** Bytes read from front to back; running over the end is an error, and so is stopping before it. */
class Reader {
  readonly #bytes: Uint8Array
  at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  done(): boolean {
    return this.at === this.#bytes.length
  }

  end(): void {
    if (!this.done()) throw invalid('a section is longer than its content')
  }

  byte(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw invalid('it ends too early')
    return byte
  }

  bytes(length: number): Uint8Array {
    if (length > this.#bytes.length - this.at) throw invalid('it ends too early')
    return this.#bytes.subarray(this.at, (this.at += length))
  }

  /** LEB128 of at most five bytes and 32 bits (WebAssembly core 5.2.2). */
  u32(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      if (shift === 28 && byte > 0x0f) break
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw invalid('a number has more than 32 bits')
  }

  name(): string {
    return utf8Text.decode(this.bytes(this.u32()))
  }

  /** The minimum of a table's or a memory's limits. */
  limits(): number {
    const flags = this.byte()
    if (flags > 1) throw invalid('a shared or 64-bit memory')
    const minimum = this.u32()
    if (flags === 1) this.u32()
    return minimum
  }
}

const utf8Text = new TextDecoder()

const name = (text: string): readonly number[] => [...leb(utf8(text).length), ...utf8(text)]

function leb(value: number): readonly number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest]
    bytes.push((rest & 0x7f) | 0x80)
  }
}

const invalid = (why: string): WritError =>
  new WritError('policy_invalid', `policy.wasm cannot be used: ${why}`, {
    cure: 'Build it with `writ policy build`, or with `opa build -t wasm`.',
  })
