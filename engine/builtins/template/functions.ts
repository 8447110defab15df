/** The functions that a template may call. Arguments are asked for when they are needed: `and` and `or` stop early. */

import { bytesOfString, compareStrings } from '../../value.ts'
import { escapeUrl } from '../go/escape.ts'
import { type GoArg, sprintf } from '../go/sprintf.ts'
import { goText, isJsonNumber, isTrue, type TemplateValue, wrong } from './values.ts'

type Argument = () => TemplateValue
type TemplateFunction = (args: readonly Argument[]) => TemplateValue

const all = (args: readonly Argument[]): readonly TemplateValue[] => args.map((arg) => arg())

/** Of a fixed number of arguments. */
const fixed =
  (count: number, call: (...args: TemplateValue[]) => TemplateValue): TemplateFunction =>
  (args) => {
    if (args.length !== count) throw wrong(`wrong number of args: want ${count} got ${args.length}`)
    return call(...all(args))
  }

/** The first that is true, or that is not; else the last. */
const firstThat =
  (wanted: boolean): TemplateFunction =>
  (args) => {
    if (args.length === 0) throw wrong('wrong number of args')
    let value: TemplateValue
    for (const arg of args) {
      value = arg()
      if (isTrue(value) === wanted) return value
    }
    return value
  }

/** Text, whole numbers and floats are compared each among themselves. */
function order(a: TemplateValue, b: TemplateValue): number {
  const [x, y] = [basic(a), basic(b)]
  if (typeof x === 'string' && typeof y === 'string') return compareStrings(x, y)
  const numeric = (typeof x === 'bigint' && typeof y === 'bigint') || (typeof x === 'number' && typeof y === 'number')
  if (!numeric) throw wrong('incompatible types for comparison')
  return x < y ? -1 : x > y ? 1 : 0
}

function equal(a: TemplateValue, b: TemplateValue): boolean {
  const [x, y] = [basic(a), basic(b)]
  if (x === null || y === null || (typeof x === 'boolean' && typeof y === 'boolean')) return x === y
  return order(x, y) === 0
}

function basic(value: TemplateValue): null | boolean | string | bigint | number {
  if (value === undefined || value === null) return null
  if (isJsonNumber(value)) return value.number
  if (typeof value === 'object') throw wrong('invalid type for comparison')
  return value
}

const isAnyOf: TemplateFunction = (args) => {
  const [first, ...others] = all(args)
  if (others.length === 0) throw wrong('missing argument for comparison')
  return others.some((other) => equal(first, other))
}

const length = (value: TemplateValue): TemplateValue => {
  if (typeof value === 'string') return BigInt(bytesOfString(value).length)
  if (isJsonNumber(value)) return BigInt(value.number.length)
  if (Array.isArray(value)) return BigInt(value.length)
  if (value instanceof Map) return BigInt(value.size)
  throw wrong('len of a value without length')
}

const index: TemplateFunction = (args) => {
  const [first, ...steps] = all(args)
  return steps.reduce((value, step) => {
    if (value instanceof Map && typeof step === 'string') return (value as ReadonlyMap<string, TemplateValue>).get(step)
    const list = Array.isArray(value) ? (value as readonly TemplateValue[]) : undefined
    if (!list || typeof step !== 'bigint' || step < 0n || step >= list.length) throw wrong('index out of range')
    return list[Number(step)]
  }, first)
}

/** Go's Sprint: a space between two that are no text. */
const print: TemplateFunction = (args) =>
  all(args).reduce<{ text: string; spaced: boolean }>(
    ({ text, spaced }, value, i) => {
      const bare = typeof value !== 'string' && !isJsonNumber(value)
      return { text: text + (i > 0 && bare && spaced ? ' ' : '') + goText(value), spaced: bare }
    },
    { text: '', spaced: false },
  ).text

const printf: TemplateFunction = (args) => {
  const [format, ...values] = all(args)
  if (typeof format !== 'string') throw wrong('wrong type for value; expected string')
  return sprintf(format, values.map(goArg))
}

function goArg(value: TemplateValue): GoArg {
  if (typeof value === 'bigint') return { type: 'int64', value }
  return typeof value === 'number' ? { type: 'float64', value } : { type: 'string', value: goText(value) }
}

const entities: Readonly<Record<string, string>> = {
  ...{ '\0': '\ufffd', '"': '&#34;', "'": '&#39;', '&': '&amp;', '<': '&lt;', '>': '&gt;' },
}

export const functions: Readonly<Record<string, TemplateFunction>> = {
  and: firstThat(false),
  or: firstThat(true),
  not: fixed(1, (value) => !isTrue(value)),
  eq: isAnyOf,
  ne: fixed(2, (a, b) => !equal(a, b)),
  lt: fixed(2, (a, b) => order(a, b) < 0),
  le: fixed(2, (a, b) => order(a, b) <= 0),
  gt: fixed(2, (a, b) => order(a, b) > 0),
  ge: fixed(2, (a, b) => order(a, b) >= 0),
  len: fixed(1, length),
  index,
  print,
  printf,
  println: (args) => `${all(args).map(goText).join(' ')}\n`,
  html: (args) => String(print(args)).replace(/[\0"'&<>]/g, (char) => entities[char]!),
  urlquery: (args) => escapeUrl(String(print(args)), 'query'),
}
