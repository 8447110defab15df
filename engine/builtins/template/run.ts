/** Runs a template over the variables that a policy gives it. */

import { isArray, isNumber, RegoObject, RegoSet, type Value, writeNumber } from '../../value.ts'
import { BuiltinError } from '../builtin.ts'
import { functions } from './functions.ts'
import type { Node, Operand, Pipe } from './parse.ts'
import { isTrue, printed, type TemplateValue, wrong } from './values.ts'

const maxLength = 4 * 1024 ** 2
const maxSteps = 1_000_000

/** Throws a BuiltinError where the template asks for what is not there, a RangeError where it makes too much. */
export function runTemplate(nodes: readonly Node[], variables: RegoObject, spend: (steps: number) => void): string {
  const root = fromValue(variables)
  const run = new Run(root, spend)
  run.all(nodes, root)
  return run.out
}

/** As ast.As hands them over: numbers are their text, and sets and keys that are no text have no place. */
function fromValue(value: Value): TemplateValue {
  if (isNumber(value)) return { number: writeNumber(value) }
  if (isArray(value)) return value.map(fromValue)
  if (value instanceof RegoSet) throw new BuiltinError('a set cannot be a variable of a template')
  if (!(value instanceof RegoObject)) return value as null | boolean | string
  return new Map(
    value.entries.map(([key, member]) => {
      if (typeof key !== 'string') throw new BuiltinError('a key of a variable of a template is no string')
      return [key, fromValue(member)]
    }),
  )
}

type Flow = 'on' | 'break' | 'continue'

class Run {
  out = ''
  /** Declared so far; a block forgets its own at its end. */
  readonly #variables: { readonly name: string; value: TemplateValue }[]
  #steps = 0

  readonly #spend: (steps: number) => void

  constructor(root: TemplateValue, spend: (steps: number) => void) {
    this.#spend = spend
    this.#variables = [{ name: '$', value: root }]
  }

  all(nodes: readonly Node[], dot: TemplateValue): Flow {
    for (const node of nodes) {
      this.#spend(8 + this.#variables.length)
      if (++this.#steps > maxSteps || this.out.length > maxLength) throw new RangeError('a template runs too long')
      const flow = this.#node(node, dot)
      if (flow !== 'on') return flow
    }
    return 'on'
  }

  #node(node: Node, dot: TemplateValue): Flow {
    switch (node.kind) {
      case 'text':
        this.out += node.text
        return 'on'
      case 'value': {
        const value = this.#pipe(node.pipe, dot)
        if (node.pipe.declares.length === 0) this.out += printed(value)
        return 'on'
      }
      case 'break':
      case 'continue':
        return node.kind
      case 'range':
        return this.#scoped(() => this.#range(node, dot))
      case 'if':
      case 'with':
        return this.#scoped(() => {
          const value = this.#pipe(node.pipe, dot)
          return isTrue(value) ? this.all(node.body, node.kind === 'with' ? value : dot) : this.all(node.rest, dot)
        })
    }
  }

  #scoped(run: () => Flow): Flow {
    const before = this.#variables.length
    try {
      return run()
    } finally {
      this.#variables.length = before
    }
  }

  #range(node: Extract<Node, { readonly body: unknown }>, dot: TemplateValue): Flow {
    const { declares, ...pipe } = node.pipe
    const entries = entriesOf(this.#pipe({ ...pipe, declares: [] }, dot))
    if (entries.length === 0) return this.all(node.rest, dot)
    for (const [key, value] of entries) {
      const flow = this.#scoped(() => {
        if (declares.length === 2) this.#set(declares[0]!, key, pipe.assigns)
        if (declares.length > 0) this.#set(declares.at(-1)!, value, pipe.assigns)
        return this.all(node.body, value)
      })
      if (flow === 'break') break
    }
    return 'on'
  }

  #pipe({ declares, assigns, commands }: Pipe, dot: TemplateValue): TemplateValue {
    let value: TemplateValue
    for (const [i, command] of commands.entries()) value = this.#command(command, dot, i > 0 ? [value] : [])
    for (const name of declares) this.#set(name, value, assigns)
    return value
  }

  #command(command: readonly Operand[], dot: TemplateValue, piped: readonly TemplateValue[]): TemplateValue {
    const [first, ...rest] = command as [Operand, ...Operand[]]
    if (first.kind === 'function') {
      return functions[first.name]!([
        ...rest.map((one) => () => this.#operand(one, dot)),
        ...piped.map((one) => () => one),
      ])
    }
    if (rest.length > 0 || piped.length > 0) throw wrong("can't give argument to non-function")
    return this.#operand(first, dot)
  }

  #operand(operand: Operand, dot: TemplateValue): TemplateValue {
    switch (operand.kind) {
      case 'dot':
        return dot
      case 'nil':
        return null
      case 'literal':
        return operand.value
      case 'pipe':
        return this.#pipe(operand.pipe, dot)
      case 'function':
        return this.#command([operand], dot, [])
      case 'variable':
        return this.#find(operand.name).value
      case 'field': {
        const of = this.#operand(operand.of, dot)
        if (of === undefined) return undefined // What is missing has missing fields; null has none.
        if (!(of instanceof Map)) throw wrong(`can't evaluate field ${operand.name}`)
        return of.get(operand.name)
      }
    }
  }

  #find(name: string): { value: TemplateValue } {
    const found = this.#variables.findLast((one) => one.name === name)
    if (!found) throw wrong(`undefined variable "${name}"`)
    return found
  }

  #set(name: string, value: TemplateValue, assigns: boolean): void {
    if (assigns) this.#find(name).value = value
    else this.#variables.push({ name, value })
  }
}

function entriesOf(value: TemplateValue): readonly (readonly [TemplateValue, TemplateValue])[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return (value as readonly TemplateValue[]).map((item, i) => [BigInt(i), item])
  if (value instanceof Map) return [...value]
  if (typeof value !== 'bigint') throw wrong("range can't iterate over it")
  if (value > maxSteps) throw new RangeError('a template runs too long')
  return Array.from({ length: Math.max(Number(value), 0) }, (_, i) => [BigInt(i), BigInt(i)])
}
