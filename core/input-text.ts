/**
 * The input of a policy (core/input.ts) as JSON text, written in one go: every request pays for it. What it holds is
 * said there alone; test/core/input-text.test.ts holds the two equal for any facts.
 */

import { exactText, projectedExact } from './exact.ts'
import type { RequestBody, RequestFacts, RequestHead, TokenFacts } from './facts.ts'
import { contextOf, destinationOf, grpcOf, parsePath, parseQuery, pathAndQuery, sourceOf } from './input.ts'
import { bodyText, httpBodyText } from './input-body.ts'
import { type Parts, partsOf, projected } from './input-path.ts'
import { tokenText } from './input-token.ts'
import { canonicalJson, type Json, canonicalString as quoted } from './json.ts'
import type { InputPath } from './policy.ts'
import { formatTime } from './time.ts'

/** JSON of `policyInput(facts)`, in no particular order. Throws a TypeError on half a character. */
export function policyInputText(facts: RequestFacts): string {
  const { head } = facts
  const { identified } = facts.source
  let text = `{"attributes":${attributesText(facts, head && judgedHttpText(facts, head))}`
  if (head) text += `,"parsed_path":${stepsText(head.path)},"parsed_query":${queryText(head.query)}`
  if (facts.body) text += bodyText(facts.body)
  if (identified.ok) text += `,"source_principal":${quoted(identified.identity.id)}`
  return `${text},"version":${versionText},${contextText(facts)}}`
}

const version = { encoding: 'protojson', ext_authz: 'v3' }
const versionText = canonicalJson(version)

function attributesText(facts: RequestFacts, http: string | undefined): string {
  const request = http === undefined ? '' : `,"request":{"http":${http},"time":"${formatTime(facts.atNs)}"}`
  const destination = canonicalJson(destinationOf(facts.destination))
  return `{"destination":${destination}${request},"source":${canonicalJson(sourceOf(facts.source))}}`
}

/** A head that can give its fields one by one, and does unless their names repeat. */
type ReadableHead = RequestHead & {
  readonly field?: (name: string) => string | undefined
  readonly eachField?: (visit: (name: string, value: string) => void) => boolean
}

function judgedHttpText(facts: RequestFacts, head: ReadableHead): string {
  const method = quoted(head.method)
  const path = quoted(pathAndQuery(head))
  const host = quoted(head.authority)
  let text = `{"headers":{":authority":${host},":method":${method},":path":${path},":scheme":"${head.scheme}"`
  const add = (name: string, value: string): void => {
    // No caller's field takes the place of one of those four: no name with a colon is a token either.
    if (name.charCodeAt(0) !== 58) text += `,${quoted(name)}:${quoted(value)}`
  }
  if (!head.eachField?.(add)) for (const name of Object.keys(head.headers)) add(name, head.headers[name]!)
  const query = head.query === undefined ? '""' : quoted(head.query)
  const body = facts.body ? httpBodyText(facts.body) : ''
  return `${text}},"query":${query},${commonHttpText(facts, head, host, method, path)}${body}}`
}

const commonHttpText = (facts: RequestFacts, head: RequestHead, host: string, method: string, path: string): string =>
  `"host":${host},"id":${quoted(facts.requestId)},"method":${method},"path":${path},"protocol":"${head.protocol}","scheme":"${head.scheme}"`

function stepsText(path: string): string {
  if (path.includes('%')) return canonicalJson(parsePath(path))
  const text = quoted(path.slice(1))
  return text.includes('/') ? `[${text.replaceAll('/', '","')}]` : `[${text}]` // No escape of JSON has a slash here.
}

const queryText = (query: string | undefined): string => (query === undefined ? '{}' : canonicalJson(parseQuery(query)))

export type InputWriter = (facts: RequestFacts) => string

/**
 * Writes of the input only what a policy reads. What is here is known to stand in an input: a read of anything else is a
 * read of the whole.
 */
export function inputWriter(reads: readonly InputPath[]): InputWriter {
  const parts = partsOf(reads)
  const members = membersOf(parts, inputMembers)
  return members ? objectWriter(members) : policyInputText
}

/** A member with its name, or nothing where these facts have none. */
type MemberWriter = (facts: RequestFacts) => string
/** How a member is written of which these parts are read; undefined where that is not known. */
type MemberOf = (below: Parts) => MemberWriter | undefined

const inputMembers: Readonly<Record<string, MemberOf>> = {
  attributes: (below) => {
    if (below === 'whole') {
      return (facts) => `"attributes":${attributesText(facts, facts.head && judgedHttpText(facts, facts.head))}`
    }
    return named('attributes', membersOf(below, attributeMembers))
  },
  parsed_body: (below) => ofBody((body) => `"parsed_body":${exactText(projectedExact(body.parsed, below))}`),
  parsed_path: () => ofHead((_, head) => `"parsed_path":${stepsText(head.path)}`),
  parsed_query: (below) =>
    below === 'whole'
      ? ofHead((_, head) => `"parsed_query":${queryText(head.query)}`)
      : ofHead((_, head) => `"parsed_query":${canonicalJson(projected(parseQuery(head.query), below))}`),
  source_principal:
    () =>
    ({ source: { identified } }) =>
      identified.ok ? `"source_principal":${quoted(identified.identity.id)}` : '',
  truncated_body: () => ofBody((body) => `"truncated_body":${body.truncated}`),
  version: (below) => {
    const text = `"version":${canonicalJson(projected(version, below))}`
    return () => text
  },
  writ: (below) => contextMember(below),
}

/** What stays the same over a connection's requests is written once, and so is what a token says. */
function contextMember(below: Parts): MemberWriter {
  const context = constantMember('writ', contextOf, below)
  const token = below === 'whole' ? below : below.get('token')
  const call = below === 'whole' ? below : below.get('grpc')
  if (token === undefined && call === undefined) return context
  const writeToken = token && tokenWriter(token)
  return (facts) => {
    let text = context(facts)
    if (call && facts.grpc) text = withMember(text, `"grpc":${canonicalJson(projected(grpcOf(facts.grpc), call))}`)
    if (writeToken && facts.token) text = withMember(text, `"token":${writeToken(facts.token)}`)
    return text
  }
}

/** An object's text with one member more at its end. */
const withMember = (text: string, member: string): string =>
  `${text.slice(0, -1)}${text.endsWith('{}') ? '' : ','}${member}}`

const contextText = contextMember('whole')

/** What is read of a token, as text; a token that comes again is the same object. */
export function tokenWriter(below: Parts): (token: TokenFacts) => string {
  const texts = new WeakMap<TokenFacts, string>()
  return (token) => {
    let text = texts.get(token)
    if (text === undefined) texts.set(token, (text = tokenText(token, below)))
    return text
  }
}

const attributeMembers: Readonly<Record<string, MemberOf>> = {
  destination: (below) => constantMember('destination', ({ destination }) => destinationOf(destination), below),
  request: (below) => {
    const members = membersOf(below === 'whole' ? partsOf([['http'], ['time']]) : below, requestMembers)
    const write = named('request', members)
    return write && ofHead(write)
  },
  source: (below) => constantMember('source', ({ source }) => sourceOf(source), below),
}

const requestMembers: Readonly<Record<string, MemberOf>> = {
  http: (below) =>
    below === 'whole'
      ? ofHead((facts, head) => `"http":${judgedHttpText(facts, head)}`)
      : named('http', membersOf(below, httpMembers)),
  time: () => (facts) => `"time":"${formatTime(facts.atNs)}"`,
}

const httpMembers: Readonly<Record<string, MemberOf>> = {
  body: () => ofBody(({ text }) => (text === undefined || text === '' ? '' : `"body":${quoted(text)}`)),
  headers: (below) => {
    if (below === 'whole') return undefined // All but the body is about as much.
    return named(
      'headers',
      [...below.keys()].map((name) => headerMember(name)),
    )
  },
  host: () => ofHead((_, head) => `"host":${quoted(head.authority)}`),
  id: () => (facts) => `"id":${quoted(facts.requestId)}`,
  method: () => ofHead((_, head) => `"method":${quoted(head.method)}`),
  path: () => ofHead((_, head) => `"path":${quoted(pathAndQuery(head))}`),
  protocol: () => ofHead((_, head) => `"protocol":"${head.protocol}"`),
  query: () => ofHead((_, head) => `"query":${quoted(head.query ?? '')}`),
  rawBody: () =>
    ofBody(({ text, raw }) => ((text ?? '') !== '' || raw === undefined ? '' : `"rawBody":${quoted(raw)}`)),
  size: () => ofBody(({ size }) => (size === 0 ? '' : `"size":"${size}"`)),
  scheme: () => ofHead((_, head) => `"scheme":"${head.scheme}"`),
}

function headerMember(name: string): MemberWriter {
  const before = `${quoted(name)}:`
  return ofHead((_, head) => {
    const value = headerValue(head, name)
    return value === undefined ? '' : before + quoted(value)
  })
}

/** As a policy sees it: pseudo-headers are made of the head, and no caller's field takes their place. */
export function headerValue(head: ReadableHead, name: string): string | undefined {
  switch (name) {
    case ':authority':
      return head.authority
    case ':method':
      return head.method
    case ':path':
      return pathAndQuery(head)
    case ':scheme':
      return head.scheme
    default:
      if (name.charCodeAt(0) === 58) return undefined
      if (head.field) return head.field(name)
      return Object.hasOwn(head.headers, name) ? head.headers[name] : undefined
  }
}

function membersOf(parts: Parts, known: Readonly<Record<string, MemberOf>>): readonly MemberWriter[] | undefined {
  if (parts === 'whole') return undefined
  const members: MemberWriter[] = []
  for (const [name, below] of parts) {
    const member = Object.hasOwn(known, name) ? known[name]!(below) : undefined
    if (!member) return undefined
    members.push(member)
  }
  return members
}

function objectWriter(members: readonly MemberWriter[]): InputWriter {
  return (facts) => {
    let text = '{'
    for (const member of members) {
      const one = member(facts)
      if (one !== '') text += text === '{' ? one : `,${one}`
    }
    return `${text}}`
  }
}

function named(name: string, members: readonly MemberWriter[] | undefined): MemberWriter | undefined {
  if (!members) return undefined
  const write = objectWriter(members)
  return (facts) => `"${name}":${write(facts)}`
}

const ofHead =
  (write: (facts: RequestFacts, head: RequestHead) => string): MemberWriter =>
  (facts) =>
    facts.head ? write(facts, facts.head) : ''

const ofBody =
  (write: (body: RequestBody) => string): MemberWriter =>
  ({ body }) =>
    body ? write(body) : ''

/** Of what is the same object for all requests of a connection, the text is the same too. */
function constantMember(name: string, of: (facts: RequestFacts) => Json, below: Parts): MemberWriter {
  const texts = new WeakMap<object, string>()
  return (facts) => {
    const value = of(facts) as object
    let text = texts.get(value)
    if (text === undefined) texts.set(value, (text = `"${name}":${canonicalJson(projected(value as Json, below))}`))
    return text
  }
}
