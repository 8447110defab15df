/** YAML as OPA reads it: the types of plain scalars by the rules of go-yaml, the last of repeated keys, keys as text. */

import { type Document, isAlias, isMap, isScalar, isSeq, type ParsedNode, parseAllDocuments, type Scalar } from 'yaml'
import { fromBase64 } from '../../../core/bytes.ts'
import { messageOf } from '../../../core/fault.ts'
import {
  fromDouble,
  fromInteger,
  isNumber,
  objectOf,
  RegoObject,
  stringOfBytes,
  toDouble,
  type Value,
} from '../../value.ts'
import { BuiltinError, LimitError } from '../builtin.ts'
import { formatFloat } from '../go/float.ts'
import { resolvePlain } from './plain.ts'

/** Nodes that a document may have once its aliases are followed. */
const maxNodes = 1_000_000
const maxDepth = 256

/** The first document; those after it must be sound too. Null where there is none. */
export function readYaml(text: string): Value {
  const documents = parse(text)
  const first = documents[0]?.contents
  return first ? valueIn(first, { text, anchors: new Map(), left: maxNodes }, maxDepth) : null
}

function parse(text: string): readonly Document.Parsed[] {
  try {
    const documents = parseAllDocuments(text, {
      schema: 'failsafe',
      uniqueKeys: false,
      merge: false,
      logLevel: 'silent',
    })
    if (!Array.isArray(documents)) return []
    const error = documents.flatMap(({ errors }) => errors)[0]
    if (error) throw error
    return documents
  } catch (thrown) {
    throw new BuiltinError(messageOf(thrown))
  }
}

interface Reading {
  readonly text: string
  readonly anchors: Map<string, Value>
  left: number
}

function valueIn(node: ParsedNode | null, reading: Reading, depth: number): Value {
  if (--reading.left < 0 || depth === 0) throw new LimitError('yaml: the document is too large or too deep')
  if (node === null) return null
  if (isAlias(node)) {
    const value = reading.anchors.get(node.source)
    if (value === undefined) throw new BuiltinError(`unknown anchor '${node.source}' referenced`)
    reading.left -= sizeOf(value, reading.left)
    return value
  }
  const value = isScalar(node)
    ? scalarOf(node, reading.text)
    : isSeq(node)
      ? node.items.map((item) => valueIn(item as ParsedNode | null, reading, depth - 1))
      : isMap(node)
        ? mapOf(node.items as readonly Pair[], reading, depth - 1)
        : null
  if (node.anchor !== undefined) reading.anchors.set(node.anchor, value)
  return value
}

interface Pair {
  readonly key: ParsedNode | null
  readonly value: ParsedNode | null
}

/** Members that are merged in (`<<`) stand below those of the map itself, and the first of them above the others. */
function mapOf(pairs: readonly Pair[], reading: Reading, depth: number): RegoObject {
  const own: [Value, Value][] = []
  const merged: (readonly [Value, Value])[] = []
  for (const { key, value } of pairs) {
    const member = valueIn(value, reading, depth)
    if (isScalar(key) && key.type === 'PLAIN' && key.value === '<<') {
      for (const one of Array.isArray(member) ? (member as readonly Value[]) : [member]) {
        if (!(one instanceof RegoObject))
          throw new BuiltinError('map merge requires map or sequence of maps as the value')
        merged.unshift(...one.entries)
      }
    } else own.push([keyText(valueIn(key, reading, depth)), member])
  }
  return objectOf([...merged, ...own])
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key
  if (typeof key === 'boolean') return String(key)
  if (!isNumber(key)) throw new BuiltinError('unsupported map key')
  return typeof key === 'number' && !Number.isInteger(key)
    ? formatFloat(Math.fround(key), 'g', -1)
    : String(toDouble(key))
}

const core = 'tag:yaml.org,2002:'

/** Only plain scalars have a type of their own; a tag decides for the others. */
function scalarOf(node: Scalar.Parsed, source: string): Value {
  const { type, value, tag } = node
  const block = type === 'BLOCK_LITERAL' || type === 'BLOCK_FOLDED'
  const text = typeof value === 'string' ? (block ? blockText(value, node, source) : value) : ''
  if (tag === `${core}binary`) {
    const bytes = fromBase64(text.replace(/\s/g, ''))
    if (!bytes) throw new BuiltinError('!!binary value contains invalid base64 data')
    return stringOfBytes(bytes)
  }
  if (tag === `${core}str` || tag === '!' || (type !== 'PLAIN' && !tag?.startsWith(core))) return text
  const found = resolvePlain(text)
  if (typeof found === 'bigint') return fromInteger(found)
  if (typeof found !== 'number') return found
  if (!Number.isFinite(found)) throw new BuiltinError(`json: unsupported value: ${found}`)
  return fromDouble(found)
}

/** go-yaml wants its lines indented, and adds no line break that the document does not have. */
function blockText(text: string, { range }: Scalar.Parsed, source: string): string {
  const written = source.slice(range[0], range[1])
  if (/^[|>][^\n]*\n *(?:\n *)*(?<! )[^ \n]/.test(written))
    throw new BuiltinError('did not find expected <document start>')
  return range[1] >= source.length && !source.endsWith('\n') ? text.replace(/\n$/, '') : text
}

/** Values within a value, and 16 characters as one, counted no further than `most`. */
function sizeOf(value: Value, most: number): number {
  let size = 1 + (typeof value === 'string' ? value.length / 16 : 0)
  const inside =
    value instanceof RegoObject ? value.entries.map(([, member]) => member) : Array.isArray(value) ? value : []
  for (const one of inside as readonly Value[]) if (size <= most) size += sizeOf(one, most - size)
  return size
}
