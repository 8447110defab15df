/** Arguments as the type that a builtin asks for; another one is a BuiltinError, as OPA has it. */

import { isArray, isNumber, type RegoNumber, RegoObject, RegoSet, toInteger, typeName, type Value } from '../value.ts'
import { BuiltinError } from './builtin.ts'

export function stringOf(value: Value): string {
  return typeof value === 'string' ? value : wrong('string', value)
}

export function booleanOf(value: Value): boolean {
  return typeof value === 'boolean' ? value : wrong('boolean', value)
}

export function numberOf(value: Value): RegoNumber {
  return isNumber(value) ? value : wrong('number', value)
}

/** An integer by value, so also 1.0. */
export function integerOf(value: Value): bigint {
  return toInteger(numberOf(value)) ?? wrong('integer', value)
}

/** An integer that a double holds. */
export function intOf(value: Value): number {
  const integer = Number(integerOf(value))
  return Number.isSafeInteger(integer) ? integer : wrong('integer of 53 bits', value)
}

export function arrayOf(value: Value): readonly Value[] {
  return isArray(value) ? value : wrong('array', value)
}

export function objectArg(value: Value): RegoObject {
  return value instanceof RegoObject ? value : wrong('object', value)
}

/** Elements of an array or a set, in order. */
export function itemsOf(value: Value): readonly Value[] {
  return value instanceof RegoSet ? value.items : isArray(value) ? value : wrong('array or set', value)
}

export const stringsOf = (value: Value): readonly string[] => itemsOf(value).map(stringOf)

function wrong(wanted: string, value: Value): never {
  throw new BuiltinError(`${wanted} expected, ${typeName(value)} given`)
}
