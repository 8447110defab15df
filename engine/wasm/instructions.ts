/**
 * One instruction of WebAssembly after the other (core 5.4): version 1 with sign extension, saturating conversions,
 * copying and filling of memory, several results and reference types. What is not known here is refused, for where one
 * instruction is misread, all behind it are.
 */

import { invalid, type Reader } from './reader.ts'

export const op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  call: 0x10,
  callIndirect: 0x11,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  i32Const: 0x41,
  i64Const: 0x42,
  i64LessSigned: 0x53,
  i32ShiftUnsigned: 0x76,
  i64Subtract: 0x7d,
  i64ExtendUnsigned: 0xad,
  refFunc: 0xd2,
  /** Those of two bytes begin with it. */
  long: 0xfc,
  memoryCopy: 0xfc0a,
  memoryFill: 0xfc0b,
} as const

/** A block without parameters and results. */
export const emptyBlock = 0x40

export const valueType = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, funcref: 0x70, externref: 0x6f } as const
const valueTypes: ReadonlySet<number> = new Set(Object.values(valueType))

export interface Instruction {
  /** Of those of two bytes both, the first one above the other. */
  readonly opcode: number
  /** What a call, a local, a global or a `ref.func` names; 0 for all others. */
  readonly index: number
}

export function readValueType(at: Reader): number {
  const type = at.byte()
  if (!valueTypes.has(type)) throw invalid(`a type that is not known here, 0x${type.toString(16)}`)
  return type
}

export function readInstruction(at: Reader): Instruction {
  const opcode = at.byte()
  if (opcode >= 0x45 && opcode <= 0xc4) return { opcode, index: 0 } // Numeric ones.
  if (opcode >= op.localGet && opcode <= op.globalSet) return { opcode, index: at.u32() }
  if (opcode >= 0x28 && opcode <= 0x3e) return memoryAccess(at, opcode)
  switch (opcode) {
    case 0x00: // unreachable
    case 0x01: // nop
    case 0x05: // else
    case 0x0b: // end
    case 0x0f: // return
    case 0x1a: // drop
    case 0x1b: // select
    case 0xd1: // ref.is_null
      return { opcode, index: 0 }
    case op.block:
    case op.loop:
    case op.if:
      skipBlockType(at)
      return { opcode, index: 0 }
    case 0x0c: // br
    case 0x0d: // br_if
    case 0x25: // table.get
      at.u32()
      return { opcode, index: 0 }
    case 0x0e: // br_table
      at.vector(() => at.u32())
      at.u32()
      return { opcode, index: 0 }
    case op.call:
    case op.refFunc:
      return { opcode, index: at.u32() }
    case op.callIndirect:
      at.u32()
      at.u32()
      return { opcode, index: 0 }
    case 0x1c: // select with its type
      at.vector(() => readValueType(at))
      return { opcode, index: 0 }
    case 0x3f: // memory.size
    case 0x40: // memory.grow
      memoryZero(at)
      return { opcode, index: 0 }
    case op.i32Const:
      at.skipSigned(5)
      return { opcode, index: 0 }
    case op.i64Const:
      at.skipSigned(10)
      return { opcode, index: 0 }
    case 0x43: // f32.const
      at.bytes(4)
      return { opcode, index: 0 }
    case 0x44: // f64.const
      at.bytes(8)
      return { opcode, index: 0 }
    case 0xd0: // ref.null
      readValueType(at)
      return { opcode, index: 0 }
    case op.long:
      return readLong(at)
    default:
      throw invalid(`an instruction that is not known here, 0x${opcode.toString(16)}`)
  }
}

/**
 * Those that change a table, or drop what was to be copied into it or into the memory, are left out: a policy's state
 * is its memory, and so an image of that is an image of the policy.
 */
function readLong(at: Reader): Instruction {
  const second = at.u32()
  const opcode = op.long * 256 + second
  if (second <= 7) return { opcode, index: 0 } // Saturating conversions.
  if (opcode === op.memoryCopy) {
    memoryZero(at)
    memoryZero(at)
  } else if (opcode === op.memoryFill) memoryZero(at)
  else if (second === 16)
    at.u32() // table.size
  else throw invalid(`an instruction that no policy has, 0xfc ${second}`)
  return { opcode, index: 0 }
}

function memoryAccess(at: Reader, opcode: number): Instruction {
  if (at.u32() > 3) throw invalid('an access to memory is aligned to more than eight bytes, or to another memory')
  at.u32()
  return { opcode, index: 0 }
}

function memoryZero(at: Reader): void {
  if (at.byte() !== 0) throw invalid('it uses a second memory')
}

/** Nothing, one result, or the number of a type: a signed LEB128 of 33 bits that is not negative. */
function skipBlockType(at: Reader): void {
  const first = at.byte()
  if (first === emptyBlock || valueTypes.has(first)) return
  if (first >= 0x40 && first < 0x80) throw invalid(`a block of a type that is not known here, 0x${first.toString(16)}`)
  if (first < 0x80) return
  for (let length = 1; length < 5; length++) {
    const byte = at.byte()
    if (byte >= 0x80) continue
    if (byte >= 0x40) throw invalid('a block of a type that is not known here')
    return
  }
  throw invalid('a number has more than 33 bits')
}
