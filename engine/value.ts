/** Rego's values: how they are held, compared, written and read. */

export { bytesOfString, stringOfBytes } from './value/bytes.ts'
export { formatJson, fromDouble, fromJson, parseJsonValue, toJson } from './value/json.ts'
export {
  compareStrings,
  compareValues,
  equalValues,
  isArray,
  objectOf,
  RegoObject,
  RegoSet,
  setOf,
  type TypeName,
  typeName,
  type Value,
} from './value/model.ts'
export {
  compareNumbers,
  Decimal,
  fromInteger,
  isNumber,
  type RegoNumber,
  readNumber,
  toDouble,
  toInteger,
  writeNumber,
} from './value/number.ts'
export { formatValue, maxDepth, parseValue } from './value/text.ts'
