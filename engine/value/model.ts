/** Rego's values as TypeScript sees them, their total order, and equality. All of them are immutable. */

import { compareNumbers, isNumber, type RegoNumber } from './number.ts'

export type Value = null | boolean | RegoNumber | string | readonly Value[] | RegoObject | RegoSet

/** Members in order of their keys, which may be of any type. */
export class RegoObject {
  readonly entries: readonly (readonly [Value, Value])[]

  /** `entries` sorted and without repeated keys; `objectOf` makes it so. */
  constructor(entries: readonly (readonly [Value, Value])[]) {
    this.entries = entries
  }

  get size(): number {
    return this.entries.length
  }

  get(key: Value): Value | undefined {
    const at = find(this.entries.length, (i) => compareValues(this.entries[i]![0], key))
    return at < 0 ? undefined : this.entries[at]![1]
  }

  has(key: Value): boolean {
    return find(this.entries.length, (i) => compareValues(this.entries[i]![0], key)) >= 0
  }

  keys(): readonly Value[] {
    return this.entries.map(([key]) => key)
  }
}

/** Different values in their order. */
export class RegoSet {
  readonly items: readonly Value[]

  /** `items` sorted and without repetitions; `setOf` makes it so. */
  constructor(items: readonly Value[]) {
    this.items = items
  }

  get size(): number {
    return this.items.length
  }

  has(item: Value): boolean {
    return find(this.items.length, (i) => compareValues(this.items[i]!, item)) >= 0
  }
}

/** Of entries with equal keys the last one stays. */
export function objectOf(entries: Iterable<readonly [Value, Value]>): RegoObject {
  const sorted = [...entries].sort(([a], [b]) => compareValues(a, b))
  return new RegoObject(
    sorted.filter(([key], i) => i === sorted.length - 1 || compareValues(key, sorted[i + 1]![0]) !== 0),
  )
}

export function setOf(items: Iterable<Value>): RegoSet {
  const sorted = [...items].sort(compareValues)
  return new RegoSet(sorted.filter((item, i) => i === 0 || compareValues(sorted[i - 1]!, item) !== 0))
}

export const isArray = (value: Value): value is readonly Value[] => Array.isArray(value)

/** As `type_name` of Rego says it. */
export type TypeName = 'null' | 'boolean' | 'number' | 'string' | 'array' | 'object' | 'set'

export function typeName(value: Value): TypeName {
  if (value === null) return 'null'
  if (isNumber(value)) return 'number'
  if (value instanceof RegoObject) return 'object'
  if (value instanceof RegoSet) return 'set'
  return typeof value === 'boolean' ? 'boolean' : typeof value === 'string' ? 'string' : 'array'
}

const rank: Readonly<Record<TypeName, number>> = {
  null: 0,
  boolean: 1,
  number: 2,
  string: 3,
  array: 4,
  object: 5,
  set: 6,
}

/** OPA's total order: by type, then by value. Negative, 0 or positive. */
export function compareValues(a: Value, b: Value): number {
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b)
  const type = typeName(a)
  const other = rank[type] - rank[typeName(b)]
  if (other !== 0) return other
  switch (type) {
    case 'null':
      return 0
    case 'boolean':
      return Number(a) - Number(b)
    case 'number':
      return compareNumbers(a as RegoNumber, b as RegoNumber)
    case 'string':
      return compareStrings(a as string, b as string)
    case 'array':
      return compareLists(a as readonly Value[], b as readonly Value[])
    case 'object':
      return compareObjects(a as RegoObject, b as RegoObject)
    case 'set':
      return compareLists((a as RegoSet).items, (b as RegoSet).items)
  }
}

export const equalValues = (a: Value, b: Value): boolean => compareValues(a, b) === 0

/** By code point, as the bytes of UTF-8 compare; UTF-16 puts U+10000 before U+FFFF. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return aboveSurrogates(x) - aboveSurrogates(y)
  }
  return a.length - b.length
}

/** Puts the units of surrogate pairs, U+D800 to U+DFFF, above all others. */
const aboveSurrogates = (unit: number): number =>
  unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit

function compareLists(a: readonly Value[], b: readonly Value[]): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const order = compareValues(a[i]!, b[i]!)
    if (order !== 0) return order
  }
  return a.length - b.length
}

function compareObjects(a: RegoObject, b: RegoObject): number {
  const length = Math.min(a.size, b.size)
  for (let i = 0; i < length; i++) {
    const [keyA, valueA] = a.entries[i]!
    const [keyB, valueB] = b.entries[i]!
    const order = compareValues(keyA, keyB) || compareValues(valueA, valueB)
    if (order !== 0) return order
  }
  return a.size - b.size
}

/** Index of the one that `order` says is 0, in a sorted list; -1 where there is none. */
function find(length: number, order: (index: number) => number): number {
  let low = 0
  let high = length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const sign = order(middle)
    if (sign === 0) return middle
    if (sign < 0) low = middle + 1
    else high = middle - 1
  }
  return -1
}
