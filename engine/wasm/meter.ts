/**
 * Makes code count its work: each turn of a loop, each call of a function that may call many others or itself, and each
 * 64 bytes that are copied or filled at once take a step from a global, and below zero the code traps. What lies between
 * two steps is bounded by the length of the code, so work is bounded by steps; and steps are the same on every machine.
 */

import { concat, equalBytes } from '../../core/bytes.ts'
import { emptyBlock, type Instruction, op, readInstruction, readValueType, valueType } from './instructions.ts'
import { invalid, leb, Reader, signedLeb } from './reader.ts'

/** What the numbers in a function's body may go up to, and the global that steps are taken from. */
export interface BodyContext {
  readonly parameters: number
  /** Functions that may be called. */
  readonly functions: number
  /** Globals of the module itself, without the one for the steps. */
  readonly globals: number
  readonly steps: number
}

/** As many as V8 allows. */
const maxLocals = 50_000

interface Place {
  readonly at: number
  readonly costs: 'step' | 'bytes'
}

export interface Body {
  readonly bytes: Uint8Array
  readonly localGroups: readonly { readonly count: number; readonly type: number }[]
  readonly locals: number
  /** Where the first instruction stands. */
  readonly codeAt: number
  /** Where work is to be paid for, in order. */
  readonly places: readonly Place[]
  /** Functions that it calls, as often as it has a call of them. */
  readonly calls: readonly number[]
  /** Whether it calls what it finds in a table. */
  readonly callsIndirectly: boolean
  /** How often the global of the steps is named. */
  readonly namesSteps: number
}

/** A body without metering, with it. `paid` says whether its calls are. */
export function meterBody(body: Body, paid: boolean, context: BodyContext): Uint8Array {
  if (body.namesSteps > 0) throw invalid('its code names what it does not have')
  const places = placesOf(body, paid)
  if (places.length === 0) return body.bytes
  const length = context.parameters + body.locals
  return concat(localsOf(body), ...spliced(body, places, (place) => payment(place, context.steps, length)))
}

/** Whether each place of a body has its payment, and nothing else names the global of the steps. */
export function isMetered(body: Body, paid: boolean, context: BodyContext): boolean {
  const places = placesOf(body, paid)
  if (body.namesSteps !== namesPerPayment * places.length) return false
  if (places.length === 0) return true
  const last = body.localGroups.at(-1)
  if (copies(body) && (last?.count !== 1 || last.type !== valueType.i32)) return false
  const length = context.parameters + body.locals - 1
  const starts = startsIn(body)
  return places.every((place) => {
    const code = payment(place, context.steps, length)
    const from = place.costs === 'bytes' ? place.at - code.length : place.at
    return starts.has(from) && equalBytes(body.bytes.subarray(from, from + code.length), code)
  })
}

/** The body of a function that calls another one with so many steps, and leaves as many as can be. */
export const startBody = (steps: number, start: number, startSteps: bigint, rest: bigint): Uint8Array =>
  Uint8Array.from([
    0,
    ...[op.i64Const, ...signedLeb(startSteps), op.globalSet, ...leb(steps)],
    ...[op.call, ...leb(start)],
    ...[op.i64Const, ...signedLeb(rest), op.globalSet, ...leb(steps)],
    op.end,
  ])

/** Takes the steps, and traps where less than none is left. `length` is a local that holds how many bytes are meant. */
function payment({ costs }: Place, steps: number, length: number): Uint8Array {
  const bytes = leb(length)
  const cost =
    costs === 'step'
      ? [op.i64Const, 1]
      : [op.localGet, ...bytes, op.i32Const, 6, op.i32ShiftUnsigned, op.i64ExtendUnsigned]
  return Uint8Array.from([
    ...(costs === 'bytes' ? [op.localTee, ...bytes] : []),
    ...[op.globalGet, ...leb(steps), ...cost, op.i64Subtract, op.globalSet, ...leb(steps)],
    ...[op.globalGet, ...leb(steps), op.i64Const, 0, op.i64LessSigned, op.if, emptyBlock, op.unreachable, op.end],
  ])
}

/** Reading the global once more costs less than a local does. */
const namesPerPayment = 3

const placesOf = ({ codeAt, places }: Body, paid: boolean): readonly Place[] =>
  paid ? [{ at: codeAt, costs: 'step' }, ...places] : places

const copies = (body: Body): boolean => body.places.some(({ costs }) => costs === 'bytes')

/** With one more where bytes are counted. */
function localsOf(body: Body): Uint8Array {
  const groups = copies(body) ? [...body.localGroups, { count: 1, type: valueType.i32 }] : body.localGroups
  return Uint8Array.from([...leb(groups.length), ...groups.flatMap(({ count, type }) => [...leb(count), type])])
}

function spliced(
  { bytes, codeAt }: Body,
  places: readonly Place[],
  code: (place: Place) => Uint8Array,
): readonly Uint8Array[] {
  const parts: Uint8Array[] = []
  let from = codeAt
  for (const place of places) {
    parts.push(bytes.subarray(from, place.at), code(place))
    from = place.at
  }
  return [...parts, bytes.subarray(from)]
}

export function readBody(bytes: Uint8Array, context: BodyContext): Body {
  const at = new Reader(bytes)
  const localGroups = at.vector(() => ({ count: at.u32(), type: readValueType(at) }))
  const locals = localGroups.reduce((sum, { count }) => sum + count, 0)
  if (locals > maxLocals) throw invalid('a function has too many locals')
  const codeAt = at.at
  const places: Place[] = []
  const calls: number[] = []
  let callsIndirectly = false
  let namesSteps = 0
  for (let depth = 1; depth > 0; ) {
    const start = at.at
    const instruction = readInstruction(at)
    checkNumbers(instruction, context, context.parameters + locals)
    const { opcode, index } = instruction
    if (opcode === op.block || opcode === op.loop || opcode === op.if) depth++
    else if (opcode === op.end) depth--
    else if (opcode === op.call) calls.push(index)
    else if (opcode === op.callIndirect) callsIndirectly = true
    else if ((opcode === op.globalGet || opcode === op.globalSet) && index === context.steps) namesSteps++
    if (opcode === op.loop) places.push({ at: at.at, costs: 'step' })
    if (opcode === op.memoryCopy || opcode === op.memoryFill) places.push({ at: start, costs: 'bytes' })
  }
  if (!at.done()) throw invalid('a function goes on behind its end')
  return { bytes, localGroups, locals, codeAt, places, calls, callsIndirectly, namesSteps }
}

/** Where instructions begin, of a body that was read before. */
function startsIn({ bytes, codeAt }: Body): ReadonlySet<number> {
  const starts = new Set<number>()
  const at = new Reader(bytes)
  for (at.bytes(codeAt); !at.done(); readInstruction(at)) starts.add(at.at)
  return starts
}

/** What is added has the next number: no code may have named it before it was there. */
function checkNumbers({ opcode, index }: Instruction, context: BodyContext, locals: number): void {
  const known =
    opcode >= op.localGet && opcode <= op.localTee
      ? index < locals
      : opcode === op.globalGet || opcode === op.globalSet
        ? index < context.globals || index === context.steps
        : opcode === op.call || opcode === op.refFunc
          ? index < context.functions
          : true
  if (!known) throw invalid('its code names what it does not have')
}
