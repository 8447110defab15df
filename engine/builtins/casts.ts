/** cast_*: deprecated in Rego, and still called by what was compiled from its version 0. */

import { isArray, RegoObject, RegoSet, setOf, type Value } from '../value.ts'
import { type Builtin, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { itemsOf } from './operand.ts'

/** The value itself where it is of the type. */
const only =
  (isType: (value: Value) => boolean): Builtin =>
  (_, value) => {
    if (isType(value!)) return value
    throw new BuiltinError('a value of another type')
  }

export const casts: BuiltinFamily = {
  cast_array: (_, value) => (isArray(value!) ? value : [...itemsOf(value!)]),
  cast_set: (_, value) => (value instanceof RegoSet ? value : setOf(itemsOf(value!))),
  cast_string: only((value) => typeof value === 'string'),
  cast_boolean: only((value) => typeof value === 'boolean'),
  cast_null: only((value) => value === null),
  cast_object: only((value) => value instanceof RegoObject),
}
