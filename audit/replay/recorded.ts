/**
 * From a recorded decision back to the facts that were judged: core/input.ts says what a record keeps of them, and makes
 * a policy's input of what is rebuilt here. What a record leaves out cannot be told from what was never sent.
 */

import { type Exact, isExactObject, readExact } from '../../core/exact.ts'
import type { RequestBody, RequestFacts, RequestHead, TokenFacts } from '../../core/facts.ts'
import type { Identified, Identity } from '../../core/identity.ts'
import { audiencesOf } from '../../core/input-token.ts'
import { isObject, type Json } from '../../core/json.ts'
import type { InputPath } from '../../core/policy.ts'
import type { AuditEvent, DecisionBody } from '../../core/record.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { parseTime } from '../../core/time.ts'
import type { RecordedBody } from './body-reads.ts'
import type { RecordedToken } from './claim-reads.ts'

export type Recalled =
  | {
      readonly kind: 'facts'
      readonly facts: RequestFacts
      /** Whether the record shows a query. Where it does not, there was none, or it was not kept. */
      readonly showsQuery: boolean
      /** What it shows of the body, where the policy was let see one. */
      readonly body: RecordedBody | undefined
      /** What it shows of the token, where the request brought one that was taken. */
      readonly token: RecordedToken | undefined
    }
  /** Only a digest was kept of an input that was too long for a record. */
  | { readonly kind: 'oversize'; readonly bytes: number }
  /** Not what a proxy writes; says which member. */
  | { readonly kind: 'unreadable'; readonly member: string }

/** Headers are those that the record kept. The body was written by others: nothing of it is taken on trust. */
export function recall(event: AuditEvent<DecisionBody>): Recalled {
  const body = event as unknown as Members
  const input = membersOf(body['input'])
  const oversize = input['oversize']
  if (typeof oversize === 'number') return { kind: 'oversize', bytes: oversize }
  const always = ['path', 'source address'].find((field) => Object.hasOwn(membersOf(body['sealed']), field))
  if (always !== undefined) return { kind: 'unreadable', member: `${always}, which is sealed as personal` }
  // What a mask hid was judged all the same, and cannot be told from what was never sent.
  if (body['erased'] !== undefined || body['masked'] !== undefined) {
    return { kind: 'unreadable', member: 'what the policy’s own mask has hidden' }
  }
  try {
    return readFacts(body, input)
  } catch (thrown) {
    if (thrown instanceof Unreadable) return { kind: 'unreadable', member: thrown.message }
    throw thrown
  }
}

class Unreadable extends Error {}

type Members = { readonly [name: string]: Json | undefined }

const none: Members = Object.freeze(Object.create(null))

/** Those of an object, and none of anything else. No name that is asked for here is one that every object has. */
const membersOf = (value: Json | undefined): Members => (isObject(value) ? value : none)

function readFacts(body: Members, input: Members): Recalled {
  const attributes = membersOf(input['attributes'])
  const request = membersOf(attributes['request'])
  const writ = membersOf(input['writ'])
  const http = request['http']
  const head = http === undefined ? undefined : readHead(membersOf(http))
  const shown = bodyOf(input, http)
  const direction = oneOf(directions, writ['direction'], 'writ.direction')
  const workload = idOf(writ['workload'], 'writ.workload')
  const token = tokenOf(writ['token'])
  const grpc = writ['grpc'] === undefined ? undefined : membersOf(writ['grpc'])
  const facts: RequestFacts = {
    direction,
    workload,
    listener: text(writ['listener'], 'writ.listener'),
    source: sourceOf(membersOf(attributes['source']), membersOf(body['peer'])),
    destination: destinationOf(membersOf(attributes['destination']), writ['service'], workload),
    ...(writ['protocol'] === 'tcp' && { protocol: 'tcp' as const }),
    head,
    ...(grpc && {
      grpc: { method: text(grpc['method'], 'grpc.method'), service: text(grpc['service'], 'grpc.service') },
    }),
    requestId: head ? text(membersOf(http)['id'], 'http.id') : '',
    traceId: '',
    atNs: parseTime(text(request['time'] ?? body['timestamp'], 'time')) ?? fail('time'),
    ...(shown && { body: rebuilt(shown, input, http) }),
    ...(token && { token: tokenFacts(token, membersOf(writ['token'])) }),
  }
  return { kind: 'facts', facts, showsQuery: head?.query !== undefined, body: shown, token }
}

const directions = ['inbound', 'outbound'] as const

/** A record says whether a body was cut off wherever the policy was let see bodies, and nowhere else. */
function bodyOf(input: Members, http: Json | undefined): RecordedBody | undefined {
  if (input['truncated_body'] === undefined) return undefined
  return {
    parsed: parsedOf(input['parsed_body'], input['parsed_body_text'], 'parsed_body_text'),
    leftOut: pathsOf(input['parsed_body_left_out'] ?? [], 'parsed_body_left_out'),
    empty: sizeOf(http) === 0,
  }
}

function tokenOf(value: Json | undefined): RecordedToken | undefined {
  if (value === undefined) return undefined
  const token = membersOf(value)
  const claims = parsedOf(token['claims'], token['claims_text'], 'claims_text')
  if (claims !== undefined && !isExactObject(claims)) fail('writ.token.claims')
  return { claims, leftOut: pathsOf(token['claims_left_out'] ?? [], 'claims_left_out') }
}

/** Of what was kept: a token whose `sub` or `aud` was not has neither. */
function tokenFacts({ claims }: RecordedToken, token: Members): TokenFacts {
  const known = isExactObject(claims) ? claims : {}
  const { sub, aud } = known
  return {
    provider: text(token['provider'], 'writ.token.provider'),
    issuer: text(token['issuer'], 'writ.token.issuer'),
    subject: typeof sub === 'string' ? sub : undefined,
    audiences: audiencesOf(aud) ?? [],
    claims: known,
    sha256: text(token['sha256'], 'writ.token.sha256'),
  }
}

/** Text where its numbers are more than JSON's readers hold: written by others, and read like any body. */
function parsedOf(value: Json | undefined, exact: Json | undefined, member: string): Exact | undefined {
  if (exact === undefined) return value
  const read = readExact(text(exact, member))
  return read.ok ? read.value : fail(member)
}

function pathsOf(value: Json, member: string): readonly InputPath[] {
  const isPath = (path: Json): boolean => Array.isArray(path) && path.every((step) => typeof step === 'string')
  return Array.isArray(value) && value.every(isPath) ? (value as readonly InputPath[]) : fail(member)
}

function sizeOf(http: Json | undefined): number {
  const size = Number(membersOf(http)['size'] ?? 0)
  return Number.isSafeInteger(size) ? size : fail('http.size')
}

/** A body of which nothing is shown is one without members. */
const rebuilt = ({ parsed }: RecordedBody, input: Members, http: Json | undefined): RequestBody => ({
  parsed: parsed === undefined ? {} : parsed,
  text: undefined,
  truncated: input['truncated_body'] === true,
  size: sizeOf(http),
})

const protocols = ['HTTP/1.1', 'HTTP/1.0', 'HTTP/2'] as const
const schemes = ['http', 'https'] as const

function readHead(http: Members): RequestHead {
  const whole = text(http['path'], 'http.path')
  const cut = whole.indexOf('?') // No path in its normal form holds one.
  const { headers } = http
  return {
    method: text(http['method'], 'http.method'),
    authority: text(http['host'], 'http.host'),
    path: cut < 0 ? whole : whole.slice(0, cut),
    query: cut < 0 ? undefined : whole.slice(cut + 1),
    headers: headersOf(headers ?? {}),
    protocol: oneOf(protocols, http['protocol'], 'http.protocol'),
    scheme: oneOf(schemes, http['scheme'], 'http.scheme'),
  }
}

function headersOf(value: Json): Readonly<Record<string, string>> {
  if (!isObject(value)) return fail('http.headers')
  for (const name of Object.keys(value)) if (typeof value[name] !== 'string') fail('http.headers')
  return value as Readonly<Record<string, string>>
}

const socketOf = (of: Members): Members => membersOf(membersOf(of['address'])['socketAddress'])

function readSocket(socket: Members, name: string): { readonly address: string; readonly port: number } {
  const port = socket['portValue']
  return {
    address: text(socket['address'], `${name}.address`),
    port: typeof port === 'number' ? port : fail(`${name}.portValue`),
  }
}

const isSameSocket = ({ address, port }: Source | Destination, socket: Members): boolean =>
  port === socket['portValue'] && address === socket['address']

/** Most of what is remembered below; where there is more, all is forgotten. */
const maxKnown = 256

type Source = RequestFacts['source']
type Destination = RequestFacts['destination']

/**
 * Ends of connections, as in core/facts.ts: what is the same for many records is the same object for them, so that what
 * follows from it alone is made once. By caller and by target, the last one of each.
 */
const sources = new Map<Json | undefined, { readonly peer: Members; readonly source: Source }>()
const destinations = new Map<SpiffeId, Destination>()

function sourceOf(of: Members, peer: Members): Source {
  const { principal } = of
  const socket = socketOf(of)
  const known = sources.get(principal)
  if (known && isSameSocket(known.source, socket) && isSamePeer(known.peer, peer)) return known.source
  const source = { identified: identifiedOf(principal, peer), ...readSocket(socket, 'source') }
  if (sources.size >= maxKnown) sources.clear()
  sources.set(principal, { peer, source })
  return source
}

const isSamePeer = (one: Members, other: Members): boolean =>
  one['serial'] === other['serial'] &&
  one['not_before'] === other['not_before'] &&
  one['not_after'] === other['not_after'] &&
  one['proof'] === other['proof']

function destinationOf(of: Members, named: Json | undefined, workload: SpiffeId): Destination {
  const service = named === undefined ? undefined : text(named, 'writ.service')
  const socket = socketOf(of)
  const known = destinations.get(workload)
  if (known && known.service === service && isSameSocket(known, socket)) return known
  const destination = { service, ...readSocket(socket, 'destination') }
  if (destinations.size >= maxKnown) destinations.clear()
  destinations.set(workload, destination)
  return destination
}

function identifiedOf(principal: Json | undefined, peer: Members): Identified {
  if (principal === undefined) return { ok: false, code: 'identity_missing', detail: 'the record names no caller' }
  const id = idOf(principal, 'source.principal')
  const { serial } = peer
  const identity: Identity = {
    id,
    trustDomain: trustDomainOf(id),
    proof: proofs.find((known) => known === peer['proof']) ?? 'x509',
    serial: typeof serial === 'string' ? serial : '',
    notBeforeMs: momentOf(peer['not_before']),
    notAfterMs: momentOf(peer['not_after']),
  }
  return { ok: true, identity }
}

const proofs = ['x509', 'jwt', 'platform', 'declared'] as const

function momentOf(value: Json | undefined): number {
  const ns = typeof value === 'string' ? parseTime(value) : undefined
  return ns === undefined ? 0 : Number(ns / 1_000_000n)
}

const ids = new Set<string>()

function idOf(value: Json | undefined, member: string): SpiffeId {
  const name = text(value, member)
  if (ids.has(name)) return name as SpiffeId
  const id = parseSpiffeId(name) ?? fail(member)
  if (ids.size >= maxKnown) ids.clear()
  ids.add(id)
  return id
}

const text = (value: Json | undefined, member: string): string => (typeof value === 'string' ? value : fail(member))

function oneOf<Word extends string>(words: readonly Word[], value: Json | undefined, member: string): Word {
  for (const word of words) if (word === value) return word
  return fail(member)
}

function fail(member: string): never {
  throw new Unreadable(member)
}
