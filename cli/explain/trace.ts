/**
 * OPA's trace of one evaluation, reduced to the lines that made the answer: the rules that held, and the expressions
 * at which the others ended. What failed on the way to something that held in the end is left out.
 */

import { isObject, type Json } from '../../core/json.ts'

export interface Line {
  readonly file: string
  readonly row: number
  /** How often, for instance for each edge that was tried. */
  readonly times: number
}

export interface Tried {
  readonly held: readonly Line[]
  readonly failed: readonly Line[]
}

export interface Query {
  /** Number of the event that began it. */
  readonly at: number
  readonly parent: Query | undefined
  readonly kind: 'root' | 'entry' | 'rule' | 'body' | 'negation'
  /** Of a rule that is true or false, or of a set: not of one that names a value, nor of a default. */
  readonly tells: boolean
  readonly place: Place | undefined
  exited: boolean
}

export interface Place {
  readonly file: string
  readonly row: number
  readonly column: number
}

/** An expression that did not hold, from the event that began it to the one that says so. */
export interface Failure {
  readonly query: Query
  readonly place: Place
  readonly from: number
  readonly to: number
  readonly event: { readonly [name: string]: Json | undefined }
}

export function readTrace(explanation: Json | undefined): Tried {
  const { queries, failures } = walkTrace(explanation)
  return {
    held: linesOf(queries.flatMap((query) => (counts(query) && query.place ? [query.place] : []))),
    failed: linesOf(failures.map(({ place }) => place)),
  }
}

/** Its queries, and those failures at which a rule ended. */
export function walkTrace(explanation: Json | undefined): {
  readonly queries: readonly Query[]
  readonly failures: readonly Failure[]
} {
  const queries = new Map<number, Query>()
  const negated = new Set<string>()
  const begun = new Map<Query, number>()
  const failures: Failure[] = []
  for (const [at, event] of (Array.isArray(explanation) ? (explanation as readonly Json[]) : []).entries()) {
    if (!isObject(event)) continue
    const { Op: op, Node: node, QueryID: id, ParentID: parent } = event
    if (typeof id !== 'number' || typeof parent !== 'number') continue
    const place = placeOf(event['Location'])
    if (op === 'Eval') {
      const query = queries.get(id)
      if (query) begun.set(query, at)
      if (isObject(node) && node['negated'] === true) negated.add(keyOf(id, place))
    } else if (op === 'Enter') {
      const above = id === parent ? undefined : queries.get(parent)
      const kind = kindOf(node, above, negated.has(keyOf(parent, place)))
      queries.set(id, { at, parent: above, kind, tells: tells(node), place, exited: false })
    } else {
      const query = queries.get(id)
      if (op === 'Exit' && query) query.exited = true
      if (op === 'Fail' && query && place) failures.push({ query, place, from: begun.get(query) ?? at, to: at, event })
    }
  }
  return { queries: [...queries.values()], failures: failures.filter(({ query }) => ended(query)) }
}

function kindOf(node: Json | undefined, above: Query | undefined, negates: boolean): Query['kind'] {
  if (!above) return 'root'
  if (isObject(node) && 'head' in node) return above.kind === 'root' ? 'entry' : 'rule'
  return negates ? 'negation' : 'body'
}

function tells(node: Json | undefined): boolean {
  const head = isObject(node) ? node['head'] : undefined
  if (!isObject(head) || (isObject(node) && node['default'] === true)) return false
  const value = head['value']
  return head['key'] !== undefined || (isObject(value) && value['type'] === 'boolean')
}

/** A rule that held, for the answer itself and not within what only words it, such as a list of reasons. */
function counts(query: Query): boolean {
  if (query.kind !== 'rule' || !query.tells) return false
  for (let at: Query | undefined = query; at && isInner(at); at = at.parent) {
    if (!at.exited || wordsAnswer(at)) return false
  }
  return true
}

/**
 * Nothing around the failure held; a negation holds where what it negates fails. Of an answer that was made, what only
 * words it is no part either.
 */
function ended(query: Query): boolean {
  if (query.kind === 'negation') return false
  for (let at: Query | undefined = query; at; at = at.parent) {
    if (at.exited && isInner(at)) return false
    if (wordsAnswer(at) && at.parent?.exited) return false
  }
  return query.kind !== 'entry' || !query.exited
}

/** A comprehension of the rule that was asked, such as its list of reasons. */
const wordsAnswer = ({ kind, parent }: Query): boolean => kind === 'body' && parent?.kind === 'entry'

const isInner = ({ kind }: Query): boolean => kind !== 'root' && kind !== 'entry'

function placeOf(location: Json | undefined): Place | undefined {
  const { file, row, col } = isObject(location) ? location : {}
  if (typeof file !== 'string' || file === '' || typeof row !== 'number' || typeof col !== 'number') return undefined
  return { file, row, column: col }
}

const keyOf = (query: number, place: Place | undefined): string =>
  `${query} ${place?.file} ${place?.row} ${place?.column}`

/** In the order of the first time. */
function linesOf(places: readonly Place[]): readonly Line[] {
  const lines = new Map<string, { file: string; row: number; times: number }>()
  for (const { file, row } of places) {
    const known = lines.get(`${file} ${row}`)
    if (known) known.times++
    else lines.set(`${file} ${row}`, { file, row, times: 1 })
  }
  return [...lines.values()]
}
