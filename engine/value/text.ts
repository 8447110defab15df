/**
 * OPA's value syntax, in which values cross between a policy and its host: JSON with sets, `{1, 2}` and `set()`, and
 * keys of any type. What `opa_value_dump` writes and `opa_value_parse` reads.
 */

import { objectOf, RegoObject, RegoSet, setOf, type Value } from './model.ts'
import { type RegoNumber, readNumber, writeNumber } from './number.ts'

/** Arrays, objects and sets within each other; beyond it a value is refused rather than the stack exhausted. */
export const maxDepth = 1000

/** Throws a SyntaxError on anything else than one whole value. */
export function parseValue(text: string): Value {
  const reader = new Reader(text)
  const value = reader.value(maxDepth)
  reader.end()
  return value
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(depth: number): Value {
    if (depth === 0) throw new SyntaxError(`a value is nested more than ${maxDepth} deep`)
    this.#space()
    switch (this.#text[this.#at]) {
      case '"':
        return this.#string()
      case '[':
        return this.#array(depth - 1)
      case '{':
        return this.#members(depth - 1)
      case 'n':
        return this.#word('null', null)
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 's':
        this.#word('set', null)
        this.#expect('(')
        this.#expect(')')
        return new RegoSet([])
      default:
        return this.#number()
    }
  }

  end(): void {
    this.#space()
    if (this.#at !== this.#text.length) throw this.#unexpected()
  }

  #array(depth: number): readonly Value[] {
    this.#at++
    const items: Value[] = []
    if (this.#take(']')) return items
    do items.push(this.value(depth))
    while (this.#take(','))
    this.#expect(']')
    return items
  }

  #members(depth: number): RegoObject | RegoSet {
    this.#at++
    if (this.#take('}')) return new RegoObject([])
    const first = this.value(depth)
    if (!this.#take(':')) {
      const items = [first]
      while (this.#take(',')) items.push(this.value(depth))
      this.#expect('}')
      return setOf(items)
    }
    const entries: [Value, Value][] = [[first, this.value(depth)]]
    while (this.#take(',')) {
      const key = this.value(depth)
      this.#expect(':')
      entries.push([key, this.value(depth)])
    }
    this.#expect('}')
    return objectOf(entries)
  }

  #string(): string {
    const from = this.#at
    for (;;) {
      this.#at = this.#text.indexOf('"', this.#at + 1)
      if (this.#at < 0) throw new SyntaxError('a string has no end')
      let escapes = 0
      while (this.#text[this.#at - 1 - escapes] === '\\') escapes++
      if (escapes % 2 === 0) break
    }
    this.#at++
    return JSON.parse(this.#text.slice(from, this.#at)) as string
  }

  #number(): RegoNumber {
    numberAhead.lastIndex = this.#at
    const text = numberAhead.exec(this.#text)?.[0] ?? ''
    const number = readNumber(text)
    if (number === undefined) throw this.#unexpected()
    this.#at += text.length
    return number
  }

  #word<T extends Value>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected()
    this.#at += word.length
    return value
  }

  #space(): void {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at)
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return
      this.#at++
    }
  }

  #take(char: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  #expect(char: string): void {
    if (!this.#take(char)) throw this.#unexpected()
  }

  #unexpected(): SyntaxError {
    const found = this.#text[this.#at]
    return new SyntaxError(found === undefined ? 'a value ends too early' : `unexpected ${found} at ${this.#at}`)
  }
}

const numberAhead = /[-+.0-9eE]+/y

/** As OPA prints a term: sets and objects in order. Throws a TypeError on NaN and the infinities. */
export function formatValue(value: Value): string {
  if (value === null) return 'null'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof RegoSet) return value.size === 0 ? 'set()' : `{${value.items.map(formatValue).join(', ')}}`
  if (value instanceof RegoObject) {
    return `{${value.entries.map(([key, member]) => `${formatValue(key)}: ${formatValue(member)}`).join(', ')}}`
  }
  if (Array.isArray(value)) return `[${(value as readonly Value[]).map(formatValue).join(', ')}]`
  return writeNumber(value as RegoNumber)
}
