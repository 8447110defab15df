/**
 * A text that is the same for two requests only where a policy, by what it reads, is given the same input for both: what
 * its decisions are remembered by. It is made of the facts themselves, which is quicker than their JSON.
 */

import type { RequestFacts, RequestHead } from './facts.ts'
import { contextOf, destinationOf, sourceOf } from './input.ts'
import { type Parts, partsOf, projected } from './input-path.ts'
import { headerValue, tokenWriter } from './input-text.ts'
import { canonicalJson, type Json } from './json.ts'
import type { InputPath } from './policy.ts'

export type InputKey = (facts: RequestFacts) => string

/** One fact; undefined where the request has none. */
type Fact = FactOfHead | FactOfConnection | FactOfRequest
interface FactOfHead {
  readonly of: 'head'
  read(head: RequestHead): string | undefined
}
/** The same for all requests whose source, destination, direction, listener and workload are the same. */
interface FactOfConnection {
  readonly of: 'connection'
  read(facts: RequestFacts): string | undefined
}
/** Any other: it may be another one with each request. */
interface FactOfRequest {
  readonly of: 'request'
  read(facts: RequestFacts): string | undefined
}
/** The facts behind a part of the input; undefined where they are the request's own, or not known here. */
type FactsOf = (below: Parts) => readonly Fact[] | undefined

/** Undefined where no two requests are alike in what is read: their time or id, all of their headers, or what is unknown. */
export function inputKey(reads: readonly InputPath[]): InputKey | undefined {
  const facts = within(partsOf(reads), ofInput)
  return facts && keyOf([...new Set(facts)])
}

/**
 * The connection's facts, then each of the request's and of the head's after its length, as one character, so that none can be taken for the
 * end of one and the beginning of the next. Lengths are told apart up to `longestFact`; keys that long are for nobody to
 * remember.
 */
function keyOf(facts: readonly Fact[]): InputKey {
  const ofConnection = connectionKey(facts.filter((fact) => fact.of === 'connection'))
  const ofHead = facts.filter((fact) => fact.of === 'head')
  const ofRequest = facts.filter((fact) => fact.of === 'request')
  return (of) => {
    const { head } = of
    let key = ofConnection(of)
    for (let i = 0; i < ofRequest.length; i++) key += after(ofRequest[i]!.read(of))
    if (!head) return `${key}\uffff` // Whole objects are missing then; no fact begins so.
    for (let i = 0; i < ofHead.length; i++) key += after(ofHead[i]!.read(head))
    return key
  }
}

/** In characters. */
export const longestFact = 0xfff0

/** A fact after its length, or a sign that there is none. */
const after = (fact: string | undefined): string =>
  fact === undefined ? '\0' : String.fromCharCode(Math.min(fact.length, longestFact) + 1) + fact

interface Connection {
  readonly destination: RequestFacts['destination']
  readonly direction: RequestFacts['direction']
  readonly listener: string
  readonly workload: string
  readonly key: string
}

/** Texts of connections that have a number in their place, and the longest of them. With more, all begin anew. */
const maxNumbered = 4096
const longestNumbered = 256

/**
 * Of a connection that brings the same objects for all its requests the key is made once. It is a number, for the sake of
 * short keys: the same for the same facts, and never given twice.
 */
function connectionKey(facts: readonly FactOfConnection[]): InputKey {
  if (facts.length === 0) return () => ''
  const known = new WeakMap<RequestFacts['source'], Connection>()
  const numbers = new Map<string, string>()
  let last = 0
  const shortOf = (text: string): string => {
    if (text.length > longestNumbered) return `~${after(text)}`
    const number = numbers.get(text)
    if (number !== undefined) return number
    if (numbers.size >= maxNumbered) numbers.clear()
    const next = `${++last};`
    numbers.set(text, next)
    return next
  }
  return (of) => {
    const { source, destination, direction, listener, workload } = of
    const before = known.get(source)
    if (
      before?.destination === destination &&
      before.workload === workload &&
      before.listener === listener &&
      before.direction === direction
    ) {
      return before.key
    }
    const key = shortOf(facts.map((fact) => after(fact.read(of))).join(''))
    known.set(source, { destination, direction, listener, workload, key })
    return key
  }
}

const ofHead = (read: FactOfHead['read']): Fact => ({ of: 'head', read })
const ofConnection = (read: FactOfConnection['read']): Fact => ({ of: 'connection', read })

const method = ofHead((head) => head.method)
const path = ofHead((head) => head.path)
const query = ofHead((head) => head.query)
const principal = ofConnection(({ source: { identified } }) => (identified.ok ? identified.identity.id : undefined))

const ofInput: Readonly<Record<string, FactsOf>> = {
  attributes: (below) => within(below, ofAttributes),
  parsed_path: () => [path],
  parsed_query: () => [query],
  source_principal: () => [principal],
  version: () => [],
  writ: (below) => {
    const context =
      below === 'whole' ? below : new Map([...below].filter(([name]) => name !== 'token' && name !== 'grpc'))
    const facts = within(context, ofContext) ?? [constant(contextOf, context)]
    const token = below === 'whole' ? below : below.get('token')
    const call = below === 'whole' || below.has('grpc')
    return [...facts, ...(token === undefined ? [] : [ofToken(token)]), ...(call ? [grpc] : [])]
  },
}

/** Neither of the two has a slash. */
const grpc: Fact = { of: 'request', read: (facts) => facts.grpc && `${facts.grpc.service}/${facts.grpc.method}` }

function ofToken(below: Parts): Fact {
  const write = tokenWriter(below)
  return { of: 'request', read: ({ token }) => token && write(token) }
}

const ofAttributes: Readonly<Record<string, FactsOf>> = {
  destination: (below) => [constant(({ destination }) => destinationOf(destination), below)],
  request: (below) => within(below, { http: (parts) => within(parts, ofHttp) }),
  source: (below) =>
    within(below, { principal: () => [principal] }) ?? [constant(({ source }) => sourceOf(source), below)],
}

const ofContext: Readonly<Record<string, FactsOf>> = {
  direction: () => [ofConnection(({ direction }) => direction)],
  listener: () => [ofConnection(({ listener }) => listener)],
  service: () => [ofConnection(({ destination }) => destination.service)],
  workload: () => [ofConnection(({ workload }) => workload)],
}

const ofHttp: Readonly<Record<string, FactsOf>> = {
  headers: (below) =>
    below === 'whole' ? undefined : [...below.keys()].map((name) => ofHead((head) => headerValue(head, name))),
  host: () => [ofHead((head) => head.authority)],
  method: () => [method],
  path: () => [path, query],
  protocol: () => [ofHead((head) => head.protocol)],
  query: () => [query],
  scheme: () => [ofHead((head) => head.scheme)],
}

function within(parts: Parts, known: Readonly<Record<string, FactsOf>>): readonly Fact[] | undefined {
  if (parts === 'whole') return undefined
  const found: Fact[] = []
  for (const [name, below] of parts) {
    const facts = Object.hasOwn(known, name) ? known[name]!(below) : undefined
    if (!facts) return undefined
    found.push(...facts)
  }
  return found
}

const constant = (of: (facts: RequestFacts) => Json, below: Parts): Fact =>
  ofConnection((facts) => canonicalJson(projected(of(facts), below)))
