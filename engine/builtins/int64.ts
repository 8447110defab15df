/** Integers of 64 bits, where Go asks for their digits: 1e9 is none. */

import { Decimal, toInteger, type Value } from '../value.ts'
import { BuiltinError } from './builtin.ts'
import { numberOf } from './operand.ts'

export function int64Of(value: Value): bigint {
  const number = numberOf(value)
  const integer = number instanceof Decimal ? undefined : toInteger(number)
  if (integer === undefined || BigInt.asIntN(64, integer) !== integer) throw new BuiltinError('not a 64 bit integer')
  return integer
}
