/** numbers.range_step and rand.intn; the other arithmetic is compiled into each policy. */

import { fromInteger, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { integerOf, intOf, stringOf } from './operand.ts'

const maxRange = 1_000_000n

function rangeStep(_: BuiltinContext, from: Value, to: Value, by: Value): Value {
  const first = integerOf(from)
  const last = integerOf(to)
  const step = integerOf(by)
  if (step <= 0n) throw new BuiltinError('numbers.range_step: step must be a positive integer')
  const count = (first < last ? last - first : first - last) / step + 1n
  if (count > maxRange) throw new RangeError(`numbers.range_step: more than ${maxRange} numbers`)
  const signed = first <= last ? step : -step
  return Array.from({ length: Number(count) }, (_, i) => fromInteger(first + BigInt(i) * signed))
}

/** From 0 up to but without `n`; within one evaluation the same for the same arguments. */
function randIntn(context: BuiltinContext, name: Value, n: Value): Value {
  const below = Math.abs(intOf(n))
  if (below === 0) return 0
  const key = stringOf(name)
  const result = context.once(`rand.intn ${key}-${below}`, () => drawBelow(context, below))
  context.record('rand.intn', [name, n], result)
  return result
}

/** 64 random bits against at most 53: what the remainder favours is beyond notice. */
function drawBelow(context: BuiltinContext, below: number): number {
  const bytes = context.random(8)
  return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0) % BigInt(below))
}

export const numbers: BuiltinFamily = { 'numbers.range_step': rangeStep, 'rand.intn': randIntn }
