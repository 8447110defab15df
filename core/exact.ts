/**
 * JSON as strangers write it, read strictly: every number keeps the value it was written with, and what two readers could
 * take for two things (a name given twice, half a character) is refused rather than read one way.
 */

import type { Parts } from './input-path.ts'
import { canonicalString, type Json } from './json.ts'

/** A number that JavaScript's own would round: 9007199254740993, 0.1000000000000000055. */
export class Decimal {
  /** As JSON writes it. */
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type Exact =
  | null
  | boolean
  | number
  | string
  | Decimal
  | readonly Exact[]
  | { readonly [name: string]: Exact | undefined }

export type ExactRead = { readonly ok: true; readonly value: Exact } | { readonly ok: false; readonly wrong: string }

/** Arrays and objects within each other; a policy's whole input may have some more. */
export const maxExactDepth = 48

/** Longest number, in characters. */
const maxNumber = 512

/** One whole value (RFC 8259), with space around it. Never throws. */
export function readExact(text: string): ExactRead {
  const reader = new Reader(text)
  try {
    return { ok: true, value: reader.whole() }
  } catch (thrown) {
    if (thrown instanceof Wrong) return { ok: false, wrong: thrown.message }
    throw thrown
  }
}

/** JSON text without space, in which every number has its value. Throws a TypeError on half a character. */
export function exactText(value: Exact): string {
  if (typeof value === 'string') return canonicalString(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return String(Object.is(value, -0) ? 0 : value)
  if (value instanceof Decimal) return value.text
  if (Array.isArray(value)) return `[${value.map(exactText).join(',')}]`
  let text = '{'
  for (const name of Object.keys(value)) {
    const member = (value as Members)[name]
    if (member !== undefined) text += `${text.length === 1 ? '' : ','}${canonicalString(name)}:${exactText(member)}`
  }
  return `${text}}`
}

/** Of objects the members that are among the parts, as `projected` has it. */
export function projectedExact(value: Exact, parts: Parts): Exact {
  if (parts === 'whole' || !isExactObject(value)) return value
  const kept: { [name: string]: Exact } = Object.create(null)
  for (const [name, below] of parts) {
    const member = Object.hasOwn(value, name) ? value[name] : undefined
    if (member !== undefined) kept[name] = projectedExact(member, below)
  }
  return kept
}

/** The same with JavaScript's numbers: what is shown to people. */
export function roundedJson(value: Exact): Json {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Decimal) return Number(value.text)
  if (Array.isArray(value)) return value.map(roundedJson)
  const members: { [name: string]: Json } = Object.create(null)
  for (const [name, member] of Object.entries(value)) if (member !== undefined) members[name] = roundedJson(member)
  return members
}

/** Whether a number in it is one that JavaScript's own would round. */
export function hasDecimals(value: Exact): boolean {
  if (typeof value !== 'object' || value === null) return false
  return value instanceof Decimal || Object.values(value).some((member) => member !== undefined && hasDecimals(member))
}

export const isExactObject = (value: Exact | undefined): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Decimal)

type Members = { readonly [name: string]: Exact | undefined }

class Wrong extends Error {}

const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const space = /[ \t\n\r]*/y

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): Exact {
    this.#skip()
    const value = this.#value(maxExactDepth)
    this.#skip()
    if (this.#at < this.#text.length) throw new Wrong('more than one JSON value')
    return value
  }

  #value(depth: number): Exact {
    const { length } = this.#text
    const code = this.#at < length ? this.#text.charCodeAt(this.#at) : 0
    switch (code) {
      case 123:
        return this.#object(depth)
      case 91:
        return this.#array(depth)
      case 34:
        return this.#string()
      case 116:
        return this.#word('true', true)
      case 102:
        return this.#word('false', false)
      case 110:
        return this.#word('null', null)
    }
    return this.#number()
  }

  #object(depth: number): Exact {
    if (depth === 0) throw new Wrong('JSON that is nested too deeply')
    const members: { [name: string]: Exact } = Object.create(null)
    if (this.#opens('}')) return members
    do {
      this.#skip()
      const name = this.#string()
      if (name in members) throw new Wrong('a JSON object that has one name twice')
      this.#skip()
      this.#expect(':')
      this.#skip()
      members[name] = this.#value(depth - 1)
    } while (this.#goesOn('}'))
    return members
  }

  #array(depth: number): Exact {
    if (depth === 0) throw new Wrong('JSON that is nested too deeply')
    const items: Exact[] = []
    if (this.#opens(']')) return items
    do {
      this.#skip()
      items.push(this.#value(depth - 1))
    } while (this.#goesOn(']'))
    return items
  }

  /** Past the opening bracket; whether the closing one follows at once. */
  #opens(close: string): boolean {
    this.#at++
    this.#skip()
    if (this.#text[this.#at] !== close) return false
    this.#at++
    return true
  }

  #goesOn(close: string): boolean {
    this.#skip()
    const next = this.#text[this.#at]
    if (next !== ',' && next !== close) throw notJson
    this.#at++
    return next === ','
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) throw notJson
    this.#at++
  }

  #string(): string {
    const from = this.#at
    this.#expect('"')
    let escapes = false
    for (let code = 0; (code = this.#text.charCodeAt(this.#at)) !== 34; this.#at++) {
      if (!(code >= 32)) throw notJson // A control character, or the end.
      if (code === 92) {
        escapes = true
        this.#at++
      }
    }
    this.#at++
    const value = escapes ? unescaped(this.#text.slice(from, this.#at)) : this.#text.slice(from + 1, this.#at - 1)
    if (!value.isWellFormed()) throw new Wrong('a JSON text with half a character')
    return value
  }

  #number(): number | Decimal {
    const text = this.#match(number)
    if (text.length > maxNumber) throw new Wrong(`a JSON number of more than ${maxNumber} characters`)
    const value = Number(text)
    if (!Number.isFinite(value)) throw new Wrong('a JSON number that is too large')
    if (value === 0 && /[1-9]/.test(text.split(/[eE]/)[0]!)) throw new Wrong('a JSON number that is too small')
    return isSameNumber(text, value) ? value : new Decimal(text)
  }

  #word<Value extends boolean | null>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) throw notJson
    this.#at += word.length
    return value
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (!found) throw notJson
    this.#at = pattern.lastIndex
    return found[0]
  }

  #skip(): void {
    const code = this.#text.charCodeAt(this.#at)
    if (code > 32) return // Most values have no space around them.
    space.lastIndex = this.#at
    space.exec(this.#text)
    this.#at = space.lastIndex
  }
}

const notJson = new Wrong('text that is no JSON')

/** Strings of JavaScript's own reader are the standard's. */
function unescaped(quoted: string): string {
  try {
    return JSON.parse(quoted) as string
  } catch {
    throw notJson
  }
}

/** Whether a number is written for the very value that JavaScript keeps of it. */
function isSameNumber(text: string, value: number): boolean {
  const power = text.search(/[eE]/)
  const digits = power < 0 ? text.length : power
  // A double holds any fifteen digits, but for numbers so small that it has fewer bits for them.
  if (digits <= 15 && (value === 0 || Math.abs(value) > 1e-300)) return true
  return decimalOf(text) === decimalOf(String(value))
}

/** Sign, digits and power of ten, in one form. */
function decimalOf(text: string): string {
  const [, sign, whole, fraction = '', power = '0'] = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(text)!
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  if (digits === '') return '0'
  let end = digits.length // By hand: an expression would look at each run of zeros again and again.
  while (digits.charCodeAt(end - 1) === 48) end--
  const significant = digits.slice(0, end)
  return `${sign}${significant}e${Number(power) - fraction.length + digits.length - significant.length}`
}
