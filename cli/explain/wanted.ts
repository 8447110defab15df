/**
 * What would have had to hold for another answer: of each rule that ended, the expression at which it did, with the
 * values that it saw. Of a rule that went through candidates, such as the edges in the data, it is the one that got furthest.
 */

import { isObject, type Json } from '../../core/json.ts'
import { type Failure, type Query, walkTrace } from './trace.ts'

export interface Wanted {
  readonly file: string
  readonly row: number
  /** The expression as its author wrote it. */
  readonly text: string
  /** 0, or how many of the ones before it each did not hold because of the next: a rule that asks a function. */
  readonly depth: number
  /** What its operands were. One without a value was undefined. */
  readonly saw: readonly Seen[]
  /** Of an expression that was tried for several candidates: how many there were, and the one that got furthest. */
  readonly nearest?: { readonly of: number; readonly values: readonly Seen[] }
}

export interface Seen {
  readonly name: string
  readonly value?: Json
}

export interface WantedSources {
  readonly input: Json
  /** Lines of a file, or undefined where it cannot be read. */
  readonly lines: (file: string) => readonly string[] | undefined
  /** Values of references below `data`, in the same order; undefined for those that have none. */
  readonly ask: (refs: readonly string[]) => Promise<readonly (Json | undefined)[]>
}

/** Most expressions that are told, so that a policy of thousands of rules still gives an answer one can read. */
const maxWanted = 200

export async function wantedOf(explanation: Json | undefined, sources: WantedSources): Promise<readonly Wanted[]> {
  const found = relevant(walkTrace(explanation).failures).slice(0, maxWanted)
  const read = found.map(({ failure, of, depth }) => ({ failure, of, depth, ...operandsOf(failure, sources) }))
  const refs = [...new Set(read.flatMap(({ operands }) => operands.flatMap(({ ref }) => ref ?? [])))]
  const values = refs.length === 0 ? [] : await sources.ask(refs)
  const told = new Map(refs.map((ref, i) => [ref, values[i]]))
  const wanted = read.map(({ failure: { place }, of, depth, text, operands, candidate }): Wanted => {
    const saw = operands.map(({ name, ref, value }) => seen(name, ref === undefined ? value : told.get(ref)))
    const nearest = of > 1 && candidate.length > 0 ? { nearest: { of, values: candidate } } : {}
    return { file: place.file, row: place.row, text, depth, saw, ...nearest }
  })
  return [...new Map(wanted.map((one) => [JSON.stringify(one), one])).values()]
}

const seen = (name: string, value: Json | undefined): Seen => (value === undefined ? { name } : { name, value })

interface Furthest {
  readonly depth: number
  readonly failure: Failure
  /** Failures of the same rule. */
  readonly of: number
}

/**
 * One failure for each rule that ended, without those of the rules that it would have gone on without: what a candidate
 * asked that got less far. A failure that only passes on that of a rule it names is left out.
 */
function relevant(failures: readonly Failure[]): readonly Furthest[] {
  const furthest = new Map<Query, Furthest>()
  for (const failure of failures) {
    const best = furthest.get(failure.query)
    const further = !best || indexOf(failure) > indexOf(best.failure)
    furthest.set(failure.query, { depth: 0, failure: further ? failure : best.failure, of: (best?.of ?? 0) + 1 })
  }
  const kept = [...furthest.values()].filter(({ failure }) => onTheWay(failure.query, furthest))
  const explained = new Set(kept.flatMap(({ failure }) => above(failure.query, furthest) ?? []))
  const told = kept.filter(({ failure, of }) => !explained.has(failure.query) || of > 1 || !isReference(failure))
  const queries = new Set(told.map(({ failure }) => failure.query))
  return told
    .map((one) => ({ ...one, depth: depthOf(one.failure.query, queries) }))
    .toSorted((a, b) => a.failure.from - b.failure.from)
}

function depthOf({ parent }: Query, among: ReadonlySet<Query>): number {
  let depth = 0
  for (let at = parent; at; at = at.parent) if (among.has(at)) depth++
  return depth
}

/** The nearest query around this one that has failed too. */
function above({ parent }: Query, furthest: ReadonlyMap<Query, Furthest>): Query | undefined {
  for (let at = parent; at; at = at.parent) if (furthest.has(at)) return at
  return undefined
}

function onTheWay(query: Query, furthest: ReadonlyMap<Query, Furthest>): boolean {
  for (let [inner, outer] = [query, above(query, furthest)]; outer; [inner, outer] = [outer, above(outer, furthest)]) {
    const { from, to } = furthest.get(outer)!.failure
    if (inner.at < from || inner.at > to) return false
  }
  return true
}

const nodeOf = ({ event }: Failure): { readonly [name: string]: Json | undefined } => {
  const node = event['Node']
  return isObject(node) ? node : {}
}

const indexOf = (failure: Failure): number => Number(nodeOf(failure)['index'] ?? 0)

/** The name of a rule, or a call of a function of the policy: what failed there is told by itself. */
function isReference(failure: Failure): boolean {
  const { terms, negated } = nodeOf(failure)
  if (negated === true) return false
  const term = Array.isArray(terms) ? (terms as readonly Json[])[0] : terms
  return isObject(term) && term['type'] === 'ref' && rootOf(term) === 'data'
}

const rootOf = (ref: { readonly [name: string]: Json | undefined }): Json | undefined => {
  const first = Array.isArray(ref['value']) ? (ref['value'] as readonly Json[])[0] : undefined
  return isObject(first) ? first['value'] : undefined
}

interface Operand {
  readonly name: string
  readonly value?: Json | undefined
  /** Where only the compiler can tell its value. */
  readonly ref?: string
}

interface Local {
  readonly value: Json | undefined
  /** As its author calls it, or undefined for one that the compiler made. */
  readonly name: string | undefined
  /** What the compiler put a name of its own in the place of. */
  readonly text: string | undefined
}

function operandsOf(
  failure: Failure,
  { input, lines }: WantedSources,
): {
  readonly text: string
  readonly operands: readonly Operand[]
  readonly candidate: readonly Seen[]
} {
  const { place, event } = failure
  const source = lines(place.file)
  const text = expressionAt(source?.[place.row - 1] ?? '', place.column - 1)
  const locals = localsOf(event, lines)
  const { terms, negated } = nodeOf(failure)
  const all = Array.isArray(terms) ? (terms as readonly Json[]).slice(1) : terms === undefined ? [] : [terms]
  const operands = negated === true ? [] : all.flatMap((term) => operandOf(term, locals, input) ?? [])
  const candidate = [...locals.values()].flatMap(({ name, value }) =>
    name === undefined || value === undefined ? [] : [{ name, value }],
  )
  return { text, operands, candidate }
}

function localsOf(
  event: { readonly [name: string]: Json | undefined },
  lines: WantedSources['lines'],
): ReadonlyMap<string, Local> {
  const { Locals: list, LocalMetadata: about } = event
  const found = new Map<string, Local>()
  for (const one of Array.isArray(list) ? (list as readonly Json[]) : []) {
    if (!isObject(one) || typeof one['name'] !== 'string') continue
    const own = one['name']
    const meta = isObject(about) ? about[own] : undefined
    const { name, location } = isObject(meta) ? meta : {}
    const { file, row, col } = isObject(location ?? null)
      ? (location as { readonly [name: string]: Json | undefined })
      : {}
    const named = typeof name === 'string' && !name.startsWith('__local') && !name.startsWith('$') && file !== undefined
    const line = typeof file === 'string' && typeof row === 'number' ? lines(file)?.[row - 1] : undefined
    const text = line === undefined || typeof col !== 'number' ? undefined : termAt(line, col - 1)
    found.set(own, { value: valueOfTerm(one), name: named ? (name as string) : undefined, text })
  }
  return found
}

/** Undefined for what needs no word: a constant, or something that has no name. */
function operandOf(term: Json, locals: ReadonlyMap<string, Local>, input: Json): Operand | undefined {
  if (!isObject(term)) return undefined
  const { type, value } = term
  if (type === 'var' && typeof value === 'string') {
    const local = locals.get(value)
    const name = local?.name ?? local?.text
    return local && name !== undefined ? { name, value: local.value } : undefined
  }
  if (type !== 'ref' || !Array.isArray(value)) return undefined
  const [head, ...rest] = value as readonly Json[]
  if (!isObject(head) || typeof head['value'] !== 'string') return undefined
  const steps: Json[] = []
  for (const step of rest) {
    const known =
      isObject(step) && step['type'] === 'var' ? locals.get(String(step['value']))?.value : valueOfTerm(step)
    if (known === undefined) return undefined
    steps.push(known)
  }
  const root = head['value']
  if (root === 'input') return { name: nameOf('input', steps), value: walk(input, steps) }
  if (root === 'data')
    return { name: shortName(steps), ref: `data${steps.map((one) => `[${JSON.stringify(one)}]`).join('')}` }
  const local = locals.get(root)
  return local?.name === undefined ? undefined : { name: nameOf(local.name, steps), value: walk(local.value, steps) }
}

/** A rule goes by its last name, as within its own package. */
const shortName = (steps: readonly Json[]): string =>
  typeof steps.at(-1) === 'string' ? String(steps.at(-1)) : nameOf('data', steps)

const nameOf = (root: string, steps: readonly Json[]): string =>
  steps.reduce<string>(
    (name, step) =>
      typeof step === 'string' && /^[A-Za-z_]\w*$/.test(step) ? `${name}.${step}` : `${name}[${JSON.stringify(step)}]`,
    root,
  )

function walk(value: Json | undefined, steps: readonly Json[]): Json | undefined {
  let at = value
  for (const step of steps) {
    if (Array.isArray(at) && typeof step === 'number') at = (at as readonly Json[])[step]
    else if (isObject(at) && typeof step === 'string' && Object.hasOwn(at, step)) at = at[step]
    else return undefined
  }
  return at
}

/** A term of OPA's syntax tree as the value that it is; undefined for what is none. Sets are arrays. */
function valueOfTerm(term: Json): Json | undefined {
  if (!isObject(term)) return undefined
  const { type, value } = term
  switch (type) {
    case 'null':
      return null
    case 'string':
    case 'number':
    case 'boolean':
      return value
    case 'array':
    case 'set': {
      const inner = Array.isArray(value) ? (value as readonly Json[]).map(valueOfTerm) : [undefined]
      return inner.includes(undefined) ? undefined : (inner as readonly Json[])
    }
    case 'object': {
      const members = Array.isArray(value) ? (value as readonly Json[]) : [null]
      const pairs = members.map((pair) =>
        Array.isArray(pair) ? (pair as readonly Json[]).map(valueOfTerm) : [undefined],
      )
      if (pairs.some((pair) => pair.includes(undefined))) return undefined
      const textOf = (key: Json | undefined): string => (typeof key === 'string' ? key : JSON.stringify(key))
      return Object.fromEntries(pairs.map(([key, inner]) => [textOf(key), inner as Json]))
    }
    default:
      return undefined
  }
}

const closing: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/** Where a piece of a line ends that may hold brackets and strings: at the first character that `stops`, outside of them. */
function endOf(line: string, from: number, stops: (character: string) => boolean): number {
  const open: string[] = []
  for (let i = from; i < line.length; i++) {
    const character = line[i]!
    if (character === '"' || character === '`') {
      for (i++; i < line.length && line[i] !== character; i++) if (character === '"' && line[i] === '\\') i++
    } else if (open.length > 0 && character === open.at(-1)) open.pop()
    else if (open.length === 0 && (stops(character) || ')]}'.includes(character))) return i
    else if (character in closing) open.push(closing[character]!)
  }
  return line.length
}

/** One expression of a body that may stand on one line with others. */
export const expressionAt = (line: string, from: number): string =>
  line
    .slice(
      from,
      endOf(line, from, (character) => character === ';' || character === '#'),
    )
    .trim()

/** A reference or a call; undefined where it is one operand of something longer, which has another value. */
export function termAt(line: string, from: number): string | undefined {
  const end = endOf(line, from, (character) => !/[\w.([{]/.test(character))
  const text = line.slice(from, end)
  return text === '' || /^\s*[-+*/%&|]/.test(line.slice(end)) ? undefined : text
}
