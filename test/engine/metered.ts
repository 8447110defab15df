/** Writes small modules by hand that import and export as a policy does, with functions of any code. */

import { leb, nameBytes } from '../../engine/wasm/reader.ts'
import { writeModule } from '../../engine/wasm/sections.ts'

export interface HandWritten {
  /** Each takes no arguments and gives nothing; locals are i32. Exported as f0, f1 and so on. */
  readonly functions: readonly { readonly locals?: number; readonly code: readonly number[] }[]
  readonly start?: number
  /** Functions in the table. */
  readonly table?: readonly number[]
  /** Beside the stack pointer: type, whether it may change, and its first value. */
  readonly globals?: readonly (readonly number[])[]
  readonly exports?: readonly (readonly number[])[]
}

const vector = (items: readonly (readonly number[])[]): Uint8Array =>
  Uint8Array.from([...leb(items.length), ...items.flat()])

export function moduleOf({ functions, start, table = [], globals = [], exports = [] }: HandWritten): Uint8Array {
  const sized = (bytes: readonly number[]): readonly number[] => [...leb(bytes.length), ...bytes]
  const bodies = functions.map(({ locals = 0, code }) =>
    sized([...(locals > 0 ? [1, ...leb(locals), 0x7f] : [0]), ...code, 0x0b]),
  )
  return writeModule([
    { id: 1, body: vector([[0x60, 0, 0]]) },
    { id: 2, body: vector([[...nameBytes('env'), ...nameBytes('memory'), 2, 0, 1]]) },
    { id: 3, body: vector(functions.map(() => [0])) },
    { id: 4, body: vector([[0x70, 0, ...leb(table.length)]]) },
    { id: 6, body: vector([[0x7f, 1, 0x41, 0, 0x0b], ...globals]) },
    { id: 7, body: vector([...functions.map((_, i) => [...nameBytes(`f${i}`), 0, i]), ...exports]) },
    ...(start === undefined ? [] : [{ id: 8, body: Uint8Array.from(leb(start)) }]),
    ...(table.length === 0 ? [] : [{ id: 9, body: vector([[0, 0x41, 0, 0x0b, ...leb(table.length), ...table]]) }]),
    { id: 10, body: vector(bodies) },
  ])
}

/** Code: so many turns of a loop around what is given, counted in local 0. */
export const loop = (turns: number, inside: readonly number[] = []): readonly number[] => [
  ...[0x41, ...signed(turns), 0x21, 0, 0x03, 0x40, ...inside],
  ...[0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b],
]

export const call = (index: number): readonly number[] => [0x10, ...leb(index)]

const signed = (value: number): readonly number[] => {
  const bytes: number[] = []
  for (let rest = value; ; rest >>= 7) {
    if (rest < 64) return [...bytes, rest]
    bytes.push((rest & 0x7f) | 0x80)
  }
}
