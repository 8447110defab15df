/** Grants to everybody or of everything: in rules, and in the data that rules go by. */

import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml'
import { fromUtf8 } from '../../core/bytes.ts'
import { isObject, type Json } from '../../core/json.ts'
import type { TarFile } from '../tar.ts'
import { type Finding, finding } from './finding.ts'
import { listOf, type Module } from './module.ts'
import { type LintPolicy, treeOf } from './policy.ts'
import { placeOf } from './problems.ts'
import { asTerm, callsIn, stepsOf, textOf } from './terms.ts'

const isWildcard = (text: string | undefined): boolean =>
  text !== undefined && (/^\/?\*{1,2}$/.test(text) || isWholePattern(text) || /^spiffe:\/\/[^/]*\/\*{1,2}$/.test(text))

/** A regular expression that any text fits. */
const isWholePattern = (text: string): boolean => /^\^?\/?\(?\.[*+]\)?\$?$/.test(text)

export function findWildcards(policy: LintPolicy): readonly Finding[] {
  return policy.modules.filter(({ isTest }) => !isTest).flatMap((module) => [...inCalls(module), ...inLiterals(module)])
}

function inCalls(module: Module): readonly Finding[] {
  return module.rules.flatMap((rule) =>
    callsIn(treeOf(rule)).flatMap(({ name, args, node }) => {
      const shown = fitsAll(name, args)
      if (shown === undefined) return []
      const place = { ...(placeOf(node['location']) ?? rule.place), file: module.file }
      return [
        finding('wildcard', place, `${shown} holds for whatever it is asked about`, 'say what it is meant to fit'),
      ]
    }),
  )
}

function fitsAll(name: string, [first, second]: readonly Json[]): string | undefined {
  const [one, other] = [textOf(first), textOf(second)]
  if (name === 'startswith' && (other === '' || other === '/')) return `startswith with ${JSON.stringify(other)}`
  if ((name === 'endswith' || name === 'contains') && other === '') return `${name} with ""`
  if (name === 'regex.match' && one !== undefined && isWholePattern(one))
    return `regex.match with ${JSON.stringify(one)}`
  return name === 'glob.match' && one !== undefined && /^\*{1,2}$/.test(one)
    ? `glob.match with ${JSON.stringify(one)}`
    : undefined
}

/** Values of objects, arrays and sets; what is only compared with such a text interprets it and grants nothing. */
function inLiterals(module: Module): readonly Finding[] {
  const found: Finding[] = []
  const descend = (node: Json | undefined, held: boolean): void => {
    if (Array.isArray(node)) {
      for (const one of node as readonly Json[]) descend(one, held)
      return
    }
    if (!isObject(node)) return
    const term = asTerm(node)
    const place = placeOf(node['location'])
    if (held && place && isWildcard(textOf(node))) {
      found.push(granted({ ...place, file: module.file }, textOf(node)!))
    } else if (term?.type === 'object') for (const pair of listOf(term.value)) descend(listOf(pair)[1], true)
    else if (term?.type === 'array' || term?.type === 'set') descend(term.value, true)
    else if (term?.type === 'call') descend(operandsOf(term.value), false)
    else if (term?.type !== 'ref') {
      for (const [name, member] of Object.entries(node)) {
        if (name !== 'location') descend(name === 'terms' ? operandsOf(member) : member, false)
      }
    }
  }
  for (const rule of module.rules) descend(treeOf(rule), false)
  return found
}

/** `x in {"*", "GET"}` asks whether x is one of these very texts, and grants none of them. */
function operandsOf(call: Json | undefined): Json | undefined {
  if (!Array.isArray(call)) return call
  const [operator, ...operands] = call as readonly Json[]
  const asks = stepsOf(asTerm(operator)?.value)[1]?.startsWith('member_') === true
  return asks ? operands.slice(0, -1) : operands
}

/** `data.json` and `data.yaml`, of which what cannot be read is the compiler's to refuse. */
export function findWildcardsInData(file: TarFile): readonly Finding[] {
  const lines = new LineCounter()
  let contents: unknown
  try {
    contents = parseDocument(fromUtf8(file.bytes), { lineCounter: lines, logLevel: 'silent' }).contents
  } catch {
    return []
  }
  const found: Finding[] = []
  const descend = (node: unknown): void => {
    if (isMap(node)) for (const pair of node.items as readonly Pair[]) descend(pair.value)
    else if (isSeq(node)) for (const item of node.items) descend(isPair(item) ? item.value : item)
    else if (isScalar(node) && !isAlias(node) && typeof node.value === 'string' && isWildcard(node.value)) {
      const { line, col } = lines.linePos((node as Node).range?.[0] ?? 0)
      found.push(granted({ file: file.name, row: Math.max(1, line), column: Math.max(1, col) }, node.value))
    }
  }
  descend(contents)
  return found
}

const granted = (place: Finding['place'], text: string): Finding =>
  finding('wildcard', place, `${JSON.stringify(text)} grants to everybody, or everything`, 'name who may, and what')
