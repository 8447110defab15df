/** json.patch: JSON Patch (RFC 6902) as Rego has it, where paths lead into sets too and steps may be of any type. */

import {
  equalValues,
  isArray,
  isNumber,
  objectOf,
  RegoObject,
  RegoSet,
  setOf,
  toInteger,
  typeName,
  type Value,
} from '../value.ts'
import { BuiltinError } from './builtin.ts'
import { objectArg, stringOf } from './operand.ts'

type Path = readonly Value[]

/**
 * Undefined where the whole document was removed. `spend` hears of what each operation reads and writes: what is copied
 * into itself again and again doubles each time.
 */
export function patch(target: Value, operations: readonly Value[], spend: (steps: number) => void): Value | undefined {
  let document: Value | undefined = target
  for (const one of operations) document = apply(document, objectArg(one), spend)
  return document
}

/** Counts a value's parts as they would be written. */
function spendWhole(value: Value, spend: (steps: number) => void): void {
  spend(1 + (typeof value === 'string' ? value.length : 0))
  if (value instanceof RegoObject) {
    for (const [key, member] of value.entries) {
      spendWhole(key, spend)
      spendWhole(member, spend)
    }
  } else if (value instanceof RegoSet || isArray(value)) {
    for (const item of value instanceof RegoSet ? value.items : value) spendWhole(item, spend)
  }
}

function apply(document: Value | undefined, operation: RegoObject, spend: (steps: number) => void): Value | undefined {
  const path = pathOf(attribute(operation, 'path'))
  const op = stringOf(attribute(operation, 'op'))
  spend(widthAlong(document, path))
  switch (op) {
    case 'add':
      return insert(document, path, attribute(operation, 'value'))
    case 'remove':
      return remove(document, path)
    case 'replace':
      return insert(remove(document, path), path, attribute(operation, 'value'))
    case 'move': {
      const from = pathOf(attribute(operation, 'from'))
      spend(widthAlong(document, from))
      return insert(remove(document, from), path, find(document, from))
    }
    case 'copy': {
      const copied = find(document, pathOf(attribute(operation, 'from')))
      spendWhole(copied, spend)
      return insert(document, path, copied)
    }
    case 'test':
      if (equalValues(find(document, path), attribute(operation, 'value'))) return document
      throw new BuiltinError('test: the value is another one')
    default:
      throw new BuiltinError(`unrecognized op: '${op}'`)
  }
}

/** How many members and elements lie beside a path: as many as are written anew. */
function widthAlong(document: Value | undefined, path: Path): number {
  let width = path.length
  let at: Value | undefined = document
  for (const step of path) {
    if (at instanceof RegoObject || at instanceof RegoSet) width += at.size
    else if (isArray(at ?? null)) width += (at as readonly Value[]).length
    else break
    at =
      at instanceof RegoObject
        ? at.get(step)
        : at instanceof RegoSet
          ? step
          : (at as readonly Value[])[indexOf(at as readonly Value[], step)]
  }
  return width
}

function attribute(operation: RegoObject, name: string): Value {
  const value = operation.get(name)
  if (value === undefined) throw new BuiltinError(`missing required attribute '${name}'`)
  return value
}

/** A JSON pointer (RFC 6901), whose leading slash may be missing, or an array of steps. */
function pathOf(value: Value): Path {
  if (isArray(value)) return value
  const text = stringOf(value)
  if (text === '') return []
  return text
    .replace(/^\/+/, '')
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function find(document: Value | undefined, path: Path): Value {
  return path.reduce<Value>((value, step) => child(value, step), present(document))
}

const present = (value: Value | undefined): Value => (value === undefined ? wrong('the document was removed') : value)

function child(value: Value, step: Value): Value {
  const found = childAt(value, step)
  return found === undefined ? missing(step) : found
}

function childAt(value: Value, step: Value): Value | undefined {
  if (value instanceof RegoObject) return value.get(step)
  if (value instanceof RegoSet) return value.has(step) ? step : undefined
  return isArray(value) ? value[indexOf(value, step)] : wrong(`a path leads into a ${typeName(value)}`)
}

/** Replaces what is at the parent of a path by what `change` makes of it, and all above accordingly. */
function within(value: Value, path: Path, change: (parent: Value, step: Value) => Value): Value {
  const [step, ...rest] = path as [Value, ...Value[]]
  if (rest.length === 0) return change(value, step)
  const changed = within(child(value, step), rest, change)
  if (value instanceof RegoObject) return objectOf([...value.entries, [step, changed]])
  if (value instanceof RegoSet) return setOf([...value.items.filter((item) => !equalValues(item, step)), changed])
  return (value as readonly Value[]).with(indexOf(value as readonly Value[], step), changed)
}

function insert(document: Value | undefined, path: Path, value: Value): Value {
  if (path.length === 0) return value
  return within(present(document), path, (parent, step) => {
    if (parent instanceof RegoObject) return objectOf([...parent.entries, [step, value]])
    if (parent instanceof RegoSet) {
      return equalValues(step, value) ? setOf([...parent.items, value]) : wrong('a set holds each value at itself')
    }
    if (!isArray(parent)) return wrong(`a path leads into a ${typeName(parent)}`)
    const index = indexOf(parent, step)
    return index >= 0 && index <= parent.length ? parent.toSpliced(index, 0, value) : missing(step)
  })
}

function remove(document: Value | undefined, path: Path): Value | undefined {
  if (path.length === 0) {
    present(document)
    return undefined
  }
  return within(present(document), path, (parent, step) => {
    child(parent, step) // Must be there.
    if (parent instanceof RegoObject) return objectOf(parent.entries.filter(([key]) => !equalValues(key, step)))
    if (parent instanceof RegoSet) return setOf(parent.items.filter((item) => !equalValues(item, step)))
    return (parent as readonly Value[]).toSpliced(indexOf(parent as readonly Value[], step), 1)
  })
}

/** "-" is the place after the last. */
function indexOf(items: readonly Value[], step: Value): number {
  if (step === '-') return items.length
  const integer =
    typeof step === 'string' && /^(?:0|-?[1-9][0-9]*)$/.test(step)
      ? BigInt(step)
      : isNumber(step)
        ? toInteger(step)
        : undefined
  if (integer === undefined) return wrong('no index of an array')
  return Number(integer)
}

const missing = (step: Value): never =>
  wrong(`there is no ${typeof step === 'string' ? step : typeName(step)} at the path`)

function wrong(text: string): never {
  throw new BuiltinError(text)
}
