/** A value as YAML, character for character as OPA writes it: go-yaml's emitter, two spaces, keys in natural order. */

import {
  formatJson,
  isArray,
  isNumber,
  parseJsonValue,
  type RegoNumber,
  RegoObject,
  toDouble,
  type Value,
  writeNumber,
} from '../../value.ts'
import { formatFloat } from '../go/float.ts'
import { isDate, resolvePlain, wasSpecial } from './plain.ts'

export const writeYaml = (value: Value): string =>
  `${nodeText(parseJsonValue(formatJson(value)), 0).replace(/^\n/, '')}\n`

const maxSimpleKey = 128

/** What stands after "key:" or "-", at a depth of indentation: on the same line, or from the next one on. */
function nodeText(value: Value, indent: number): string {
  const pad = ' '.repeat(indent)
  if (isArray(value)) {
    if (value.length === 0) return '[]'
    return value.map((item) => `\n${pad}- ${inItem(item, indent + 2)}`).join('')
  }
  if (value instanceof RegoObject) {
    if (value.size === 0) return '{}'
    const entries = [...(value.entries as readonly (readonly [string, Value])[])]
    return entries
      .sort(([a], [b]) => natural(a, b))
      .map(([key, member]) => `\n${pad}${memberText(key, member, indent)}`)
      .join('')
  }
  if (typeof value === 'string') return stringText(value, indent, false)
  return isNumber(value) ? numberText(value) : String(value)
}

/** The first line of a collection stands beside the dash of the item that it is. */
const inItem = (value: Value, indent: number): string => nodeText(value, indent).replace(/^\n */, '')

function memberText(key: string, value: Value, indent: number): string {
  const text = stringText(key, indent, true)
  if (text.length > maxSimpleKey) return `? ${text}\n${' '.repeat(indent)}: ${inItem(value, indent + 2)}`
  const member = nodeText(value, indent + 2)
  return member.startsWith('\n') ? `${text}:${member}` : `${text}: ${member}`
}

/** Whole numbers of 64 bits keep their digits; what is beyond them, or has a point, is a double. */
function numberText(value: RegoNumber): string {
  const text = writeNumber(value)
  const integer = /^-?[0-9]+$/.test(text) ? BigInt(text) : undefined
  if (integer !== undefined && integer >= -(2n ** 63n) && integer < 2n ** 64n) return String(integer)
  return formatFloat(toDouble(value), 'g', -1)
}

function stringText(text: string, indent: number, key: boolean): string {
  const broken = /[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]|\ufeff/u.test(text) // What go-yaml does not print as it is.
  const spaceBreak = / \n/.test(text)
  if (text.includes('\n')) {
    return broken || spaceBreak || text.endsWith(' ') || key ? doubleQuoted(text) : literal(text, indent)
  }
  if (resolvePlain(text) !== text || wasSpecial(text) || isDate(text) || broken || text.includes('\t')) {
    return doubleQuoted(text)
  }
  return plainAllowed(text) ? text : `'${text.replaceAll("'", "''")}'`
}

/** Without what begins something else than a plain scalar. */
const plainAllowed = (text: string): boolean =>
  !/^ | $|^[#,[\]{}&*!|>'"%@`]|^[?:-](?: |$)|: |:$| #|^---|^\.\.\./.test(text)

/** Lines as they are. Said at their head: an indentation that could be mistaken, and how they end. */
function literal(text: string, indent: number): string {
  const hint = /^[ \n]/.test(text) ? '2' : ''
  const end = !text.endsWith('\n') ? '-' : text === '\n' || text.endsWith('\n\n') ? '+' : ''
  const pad = ' '.repeat(Math.max(indent, 2))
  const lines = text.replace(/\n$/, '').split('\n')
  return `|${hint}${end}${lines.map((line) => `\n${line === '' ? '' : pad + line}`).join('')}`
}

const escapes: Readonly<Record<string, string>> = {
  ...{ '\0': '0', '\x07': 'a', '\b': 'b', '\t': 't', '\n': 'n', '\v': 'v', '\f': 'f', '\r': 'r', '\x1b': 'e' },
  ...{ '"': '"', '\\': '\\', '\x85': 'N', '\u2028': 'L', '\u2029': 'P' },
}

function doubleQuoted(text: string): string {
  const escaped = text.replace(/["\\\ufeff\u2028\u2029]|[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]/gu, (char) => {
    const code = char.codePointAt(0)!
    const hex = (digits: number): string => code.toString(16).toUpperCase().padStart(digits, '0')
    const letter = escapes[char]
    if (letter !== undefined) return `\\${letter}`
    return code <= 0xff ? `\\x${hex(2)}` : code <= 0xffff ? `\\u${hex(4)}` : `\\U${hex(8)}`
  })
  return `"${escaped}"`
}

/** go-yaml's order of keys: numbers by size, signs before numbers, letters last, but first after a number. */
function natural(a: string, b: string): number {
  const parts = (key: string): readonly string[] => key.match(/[0-9]+|[^0-9]/gu) ?? []
  const [x, y] = [parts(a), parts(b)]
  for (let i = 0; i < x.length && i < y.length; i++) {
    const [one, other] = [x[i]!, y[i]!]
    if (one === other) continue
    const [letter, alsoLetter] = [/^\p{L}/u.test(one), /^\p{L}/u.test(other)]
    if (letter && alsoLetter) return one < other ? -1 : 1
    if (letter || alsoLetter) return letter === /^[0-9]/.test(x[i - 1] ?? '') ? -1 : 1
    const [size, otherSize] = [sizeOf(one), sizeOf(other)]
    if (size !== otherSize) return size - otherSize
    return one.length - other.length || (one < other ? -1 : 1)
  }
  return x.length - y.length
}

const sizeOf = (part: string): number => (/^[0-9]/.test(part) ? Number(part) : 0)
