/** A value as YAML in the form that go-yaml gives it, with two spaces of indentation and keys in natural order. */

import { Pair, Scalar, stringify, YAMLMap, YAMLSeq } from 'yaml'
import {
  formatJson,
  isArray,
  isNumber,
  parseJsonValue,
  RegoObject,
  toDouble,
  toInteger,
  type Value,
} from '../../value.ts'
import { formatFloat } from '../go/float.ts'
import { resolvePlain, wasSpecial } from './plain.ts'

export function writeYaml(value: Value): string {
  return stringify(nodeOf(parseJsonValue(formatJson(value))), {
    ...{ schema: 'core', indent: 2, lineWidth: 0, singleQuote: true, nullStr: 'null', aliasDuplicateObjects: false },
  })
}

function nodeOf(value: Value): Scalar | YAMLSeq | YAMLMap {
  if (isArray(value)) {
    const seq = new YAMLSeq()
    seq.items = value.map(nodeOf)
    if (value.length === 0) seq.flow = true
    return seq
  }
  if (value instanceof RegoObject) {
    const map = new YAMLMap()
    const sorted = [...(value.entries as readonly (readonly [string, Value])[])].sort(([a], [b]) => natural(a, b))
    map.items = sorted.map(([key, member]) => new Pair(scalar(key), nodeOf(member)))
    if (value.size === 0) map.flow = true
    return map
  }
  return isNumber(value) ? numberNode(value) : typeof value === 'string' ? scalar(value) : new Scalar(value)
}

function numberNode(value: Value & (number | bigint | object)): Scalar {
  const number = value as Parameters<typeof toDouble>[0]
  const integer = /[.eE]/.test(formatJson(value)) ? undefined : toInteger(number)
  const node = new Scalar(integer ?? toDouble(number))
  node.source = integer === undefined ? formatFloat(toDouble(number), 'g', -1) : String(integer)
  return node
}

/** Text that would be read as something else stands in double quotes, and lines stand as they are. */
function scalar(text: string): Scalar {
  const node = new Scalar(text)
  if (text.includes('\n')) node.type = Scalar.BLOCK_LITERAL
  else node.type = resolvePlain(text) !== text || wasSpecial(text) || isDate(text) ? Scalar.QUOTE_DOUBLE : Scalar.PLAIN
  return node
}

const isDate = (text: string): boolean => /^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:$|[Tt ])/.test(text)

/** Numbers within keys in order of their size, and letters after what is none. */
function natural(a: string, b: string): number {
  const parts = (key: string): readonly string[] => key.match(/[0-9]+|[^0-9]/gu) ?? []
  const [x, y] = [parts(a), parts(b)]
  for (let i = 0; i < x.length && i < y.length; i++) {
    const [one, other] = [x[i]!, y[i]!]
    if (one === other) continue
    const [digits, alsoDigits] = [/^[0-9]/.test(one), /^[0-9]/.test(other)]
    if (digits && alsoDigits && Number(one) !== Number(other)) return Number(one) - Number(other)
    const [letter, alsoLetter] = [/^\p{L}/u.test(one), /^\p{L}/u.test(other)]
    if (letter !== alsoLetter) return letter ? 1 : -1
    return one < other ? -1 : 1
  }
  return x.length - y.length
}
