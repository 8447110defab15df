/** Go's text/template, read into a tree: text, values, if, with and range. Named templates are not part of it. */

import { BuiltinError } from '../builtin.ts'

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'with' | 'range'
      readonly pipe: Pipe
      readonly body: readonly Node[]
      readonly rest: readonly Node[]
    }
  | { readonly kind: 'break' | 'continue' }

/** Commands, each of which gets the answer of the one before as its last argument. */
export interface Pipe {
  readonly declares: readonly string[]
  /** `=` rather than `:=`. */
  readonly assigns: boolean
  readonly commands: readonly (readonly Operand[])[]
}

export type Operand =
  | { readonly kind: 'dot' | 'nil' }
  | { readonly kind: 'field'; readonly of: Operand; readonly name: string }
  | { readonly kind: 'variable' | 'function'; readonly name: string }
  | { readonly kind: 'literal'; readonly value: boolean | string | bigint | number }
  | { readonly kind: 'pipe'; readonly pipe: Pipe }

const maxDepth = 100

/** `functions` are the names that may be called. Throws a BuiltinError, also for what would never run. */
export function parseTemplate(text: string, functions: ReadonlySet<string>): readonly Node[] {
  const actions = split(text)
  const known = { functions, variables: ['$'] }
  let ranges = 0
  let at = 0
  /** Nodes up to one of the words, which is left standing. */
  const nodes = (ends: readonly string[], depth: number): readonly Node[] => {
    if (depth === 0) throw wrong('nested too deeply')
    const found: Node[] = []
    for (; at < actions.length; at++) {
      const action = actions[at]!
      if (typeof action === 'string') {
        found.push({ kind: 'text', text: action })
        continue
      }
      const word = action[0]?.text ?? ''
      if (ends.includes(word)) return found
      if (word === 'if' || word === 'with' || word === 'range') found.push(block(word, action.slice(1), depth))
      else if ((word === 'break' || word === 'continue') && action.length === 1) {
        if (ranges === 0) throw wrong(`{{${word}}} outside {{range}}`)
        found.push({ kind: word })
      } else found.push({ kind: 'value', pipe: wholePipe(action, known) })
    }
    if (ends.length > 0) throw wrong('unexpected EOF')
    return found
  }
  const block = (kind: 'if' | 'with' | 'range', condition: readonly Token[], depth: number): Node => {
    at++
    const declared = known.variables.length
    const pipe = wholePipe(condition, known)
    if (kind === 'range') ranges++
    const body = nodes(['end', 'else'], depth - 1)
    if (kind === 'range') ranges--
    const action = actions[at] as readonly Token[]
    const rest = action[0]!.text === 'end' ? [] : otherwise(kind, action, depth)
    known.variables.length = declared
    return { kind, pipe, body, rest }
  }
  const otherwise = (kind: 'if' | 'with' | 'range', action: readonly Token[], depth: number): readonly Node[] => {
    if (action.length === 1) {
      at++
      return nodes(['end'], depth - 1)
    }
    if (kind === 'range' || action[1]!.text !== kind) throw wrong('unexpected action after else')
    return [block(kind, action.slice(2), depth - 1)]
  }
  return nodes([], maxDepth)
}

interface Token {
  readonly text: string
  /** White space stood before it, which parts a field from an argument. */
  readonly spaced: boolean
}

/** Text and actions in turn. Comments are gone, and the space that `{{-` and `-}}` trim. */
function split(text: string): readonly (string | readonly Token[])[] {
  const parts: (string | readonly Token[])[] = []
  let trim = false
  for (let at = 0; at <= text.length; ) {
    const open = text.indexOf('{{', at)
    const left = open >= 0 && /^\{\{-\s/.test(text.slice(open, open + 4))
    let plain = text.slice(at, open < 0 ? undefined : open)
    if (trim) plain = plain.replace(/^[ \t\r\n]+/, '')
    if (left) plain = trimmedEnd(plain)
    if (plain !== '') parts.push(plain)
    if (open < 0) break
    const from = open + (left ? 3 : 2)
    const comment = /^\s*\/\*[\s\S]*?\*\/\s*?(?:\s-)?\}\}/.exec(text.slice(from))?.[0]
    if (comment !== undefined) {
      at = from + comment.length
      trim = /\s-\}\}$/.test(comment)
      continue
    }
    const { tokens, end, right } = tokensOf(text, from)
    parts.push(tokens)
    at = end
    trim = right
  }
  return parts
}

function trimmedEnd(text: string): string {
  let end = text.length
  while (' \t\r\n'.includes(text[end - 1] ?? 'x')) end--
  return text.slice(0, end)
}

const token =
  /\s+-\}\}|\s+|\}\}|"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\\n]|\\.)+'|:=|[=,|()]|[+-]?[0-9][0-9A-Za-z_.+-]*|\$[\p{L}\p{Nd}_]*|\.[\p{L}_][\p{L}\p{Nd}_]*|\.|[\p{L}_][\p{L}\p{Nd}_]*/uy

function tokensOf(text: string, from: number): { tokens: readonly Token[]; end: number; right: boolean } {
  const tokens: Token[] = []
  let spaced = true
  token.lastIndex = from
  for (;;) {
    const found = token.exec(text)?.[0]
    if (found === undefined) throw wrong('unclosed or bad action')
    if (found.endsWith('}}')) return { tokens, end: token.lastIndex, right: found !== '}}' }
    if (/^\s/.test(found)) spaced = true
    else {
      tokens.push({ text: found, spaced })
      spaced = false
    }
  }
}

/** Functions that there are, and variables declared so far. */
interface Known {
  readonly functions: ReadonlySet<string>
  readonly variables: string[]
}

function wholePipe(tokens: readonly Token[], known: Known): Pipe {
  const reader = { tokens, known, at: 0, depth: maxDepth }
  const pipe = readPipe(reader)
  if (reader.at < tokens.length) throw wrong(`unexpected ${tokens[reader.at]!.text}`)
  return pipe
}

interface Reader {
  readonly tokens: readonly Token[]
  readonly known: Known
  at: number
  depth: number
}

const textAt = ({ tokens, at }: Reader, ahead: number = 0): string => tokens[at + ahead]?.text ?? ''

function readPipe(reader: Reader): Pipe {
  if (--reader.depth < 0) throw wrong('nested too deeply')
  const declares: string[] = []
  const variable = (ahead: number): boolean => textAt(reader, ahead).startsWith('$')
  const sign = variable(0) && textAt(reader, 1) === ',' && variable(2) ? 3 : variable(0) ? 1 : 0
  const assigns = textAt(reader, sign) === '='
  if (sign > 0 && (assigns || textAt(reader, sign) === ':=')) {
    declares.push(textAt(reader), ...(sign === 3 ? [textAt(reader, 2)] : []))
    reader.at += sign + 1
  }
  const commands: Operand[][] = [[]]
  for (let text = textAt(reader); text !== '' && text !== ')'; text = textAt(reader)) {
    if (text === '|') {
      reader.at++
      commands.push([])
    } else commands.at(-1)!.push(readOperand(reader))
  }
  if (commands.some((command) => command.length === 0)) throw wrong('missing value for command')
  if (!assigns) reader.known.variables.push(...declares)
  else if (!declares.every((name) => reader.known.variables.includes(name))) throw wrong('undefined variable')
  reader.depth++
  return { declares, assigns, commands }
}

function readOperand(reader: Reader): Operand {
  let operand = readTerm(reader)
  for (;;) {
    const next = reader.tokens[reader.at]
    if (!next || next.spaced || !/^\../.test(next.text)) return operand
    operand = { kind: 'field', of: operand, name: next.text.slice(1) }
    reader.at++
  }
}

function readTerm(reader: Reader): Operand {
  const text = textAt(reader)
  reader.at++
  if (text === '(') {
    const pipe = readPipe(reader)
    if (textAt(reader) !== ')') throw wrong('unclosed left paren')
    reader.at++
    return { kind: 'pipe', pipe }
  }
  if (text === '.') return { kind: 'dot' }
  if (text.startsWith('.')) return { kind: 'field', of: { kind: 'dot' }, name: text.slice(1) }
  if (text.startsWith('$')) {
    if (!reader.known.variables.includes(text)) throw wrong(`undefined variable "${text}"`)
    return { kind: 'variable', name: text }
  }
  if (text === 'nil') return { kind: 'nil' }
  if (text === 'true' || text === 'false') return { kind: 'literal', value: text === 'true' }
  if (text.startsWith('"')) return { kind: 'literal', value: unquoted(text) }
  if (text.startsWith('`')) return { kind: 'literal', value: text.slice(1, -1) }
  if (text.startsWith("'")) return { kind: 'literal', value: BigInt(unquoted(text).codePointAt(0)!) }
  if (/^[+-]?[0-9]/.test(text)) return { kind: 'literal', value: number(text) }
  if (reader.known.functions.has(text)) return { kind: 'function', name: text }
  throw wrong(`unexpected ${text}`)
}

function number(text: string): bigint | number {
  if (/^[+-]?(?:0|[1-9][0-9_]*|0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+)$/.test(text)) {
    const size = BigInt(text.replace(/[_+-]/g, '').replace(/^0(?=[0-7])/, '0o'))
    return text.startsWith('-') ? -size : size
  }
  const double = Number(text)
  if (Number.isNaN(double)) throw wrong(`bad number syntax: ${text}`)
  return double
}

/** Escapes of a Go string that JSON does not have are made into those that it has. */
function unquoted(text: string): string {
  const inside = text.slice(1, -1)
  const json = inside.replace(/\\x([0-9a-fA-F]{2})|\\U([0-9a-fA-F]{8})|\\([av'])|"/g, (whole, hex, long, letter) => {
    if (whole === '"') return '\\"'
    if (letter === "'") return "'"
    const code = letter === undefined ? Number.parseInt(hex ?? long, 16) : letter === 'a' ? 7 : 11
    return code <= 0x10ffff ? JSON.stringify(String.fromCodePoint(code)).slice(1, -1) : '\ufffd'
  })
  try {
    return JSON.parse(`"${text.startsWith('"') ? json.replace(/\\\\"/g, '\\"') : json}"`) as string
  } catch {
    throw wrong(`malformed string ${text}`)
  }
}

const wrong = (text: string): BuiltinError => new BuiltinError(`template: ${text}`)
