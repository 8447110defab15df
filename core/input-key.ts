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
type Fact = (facts: RequestFacts) => string | undefined
/** The facts behind a part of the input; undefined where they are the request's own, or not known here. */
type FactsOf = (below: Parts) => readonly Fact[] | undefined

/** Undefined where no two requests are alike in what is read: their time or id, all of their headers, or what is unknown. */
export function inputKey(reads: readonly InputPath[]): InputKey | undefined {
  const facts = within(partsOf(reads), ofInput)
  return facts && keyOf([...new Set(facts)])
}

/**
 * Each fact after its length, as one character, so that none can be taken for the end of one and the beginning of the
 * next. Lengths are told apart up to `longestFact`; keys that long are for nobody to remember.
 */
function keyOf(facts: readonly Fact[]): InputKey {
  return (of) => {
    let key = of.head ? '+' : '-' // Without a head, whole objects are missing.
    for (let i = 0; i < facts.length; i++) {
      const fact = facts[i]!(of)
      if (fact === undefined) key += '\0'
      else key += String.fromCharCode(Math.min(fact.length, longestFact) + 1) + fact
    }
    return key
  }
}

/** In characters. */
export const longestFact = 0xfff0

const ofHead =
  (of: (head: RequestHead) => string | undefined): Fact =>
  ({ head }) =>
    head && of(head)

const method = ofHead((head) => head.method)
const path = ofHead((head) => head.path)
const query = ofHead((head) => head.query)
const principal: Fact = ({ source: { identified } }) => (identified.ok ? identified.identity.id : undefined)

const ofInput: Readonly<Record<string, FactsOf>> = {
  attributes: (below) => within(below, ofAttributes),
  parsed_path: () => [path],
  parsed_query: () => [query],
  source_principal: () => [principal],
  version: () => [],
  writ: (below) => {
    const context = below === 'whole' ? below : new Map([...below].filter(([name]) => name !== 'token'))
    const facts = within(context, ofContext) ?? [constant(contextOf, context)]
    const token = below === 'whole' ? below : below.get('token')
    return token === undefined ? facts : [...facts, ofToken(token)]
  },
}

function ofToken(below: Parts): Fact {
  const write = tokenWriter(below)
  return ({ token }) => token && write(token)
}

const ofAttributes: Readonly<Record<string, FactsOf>> = {
  destination: (below) => [constant(({ destination }) => destinationOf(destination), below)],
  request: (below) => within(below, { http: (parts) => within(parts, ofHttp) }),
  source: (below) =>
    within(below, { principal: () => [principal] }) ?? [constant(({ source }) => sourceOf(source), below)],
}

const ofContext: Readonly<Record<string, FactsOf>> = {
  direction: () => [({ direction }) => direction],
  listener: () => [({ listener }) => listener],
  service: () => [({ destination }) => destination.service],
  workload: () => [({ workload }) => workload],
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

/** Of what is the same object for all requests of a connection, the text is the same too. */
function constant(of: (facts: RequestFacts) => Json, below: Parts): Fact {
  const texts = new WeakMap<object, string>()
  return (facts) => {
    const value = of(facts) as object
    let text = texts.get(value)
    if (text === undefined) texts.set(value, (text = canonicalJson(projected(value as Json, below))))
    return text
  }
}
