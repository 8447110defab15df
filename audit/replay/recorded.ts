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
import { parseSpiffeId, trustDomainOf } from '../../core/spiffe.ts'
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
  const body = event as unknown as Json
  const oversize = at(body, 'input', 'oversize')
  if (typeof oversize === 'number') return { kind: 'oversize', bytes: oversize }
  try {
    return readFacts(body, at(body, 'input'))
  } catch (thrown) {
    if (thrown instanceof Unreadable) return { kind: 'unreadable', member: thrown.message }
    throw thrown
  }
}

class Unreadable extends Error {}

function readFacts(body: Json, input: Json | undefined): Recalled {
  const http = at(input, 'attributes', 'request', 'http')
  const destination = at(input, 'attributes', 'destination')
  const source = at(input, 'attributes', 'source')
  const service = at(input, 'writ', 'service')
  const time = at(input, 'attributes', 'request', 'time') ?? at(body, 'timestamp')
  const head = http === undefined ? undefined : readHead(http)
  const shown = bodyOf(input)
  const token = tokenOf(at(input, 'writ', 'token'))
  const facts: RequestFacts = {
    direction: oneOf(['inbound', 'outbound'], at(input, 'writ', 'direction'), 'writ.direction'),
    workload: idOf(at(input, 'writ', 'workload'), 'writ.workload'),
    listener: text(at(input, 'writ', 'listener'), 'writ.listener'),
    source: { identified: identifiedOf(at(source, 'principal'), at(body, 'peer')), ...socketOf(source, 'source') },
    destination: {
      service: service === undefined ? undefined : text(service, 'writ.service'),
      ...socketOf(destination, 'destination'),
    },
    head,
    requestId: head ? text(at(http, 'id'), 'http.id') : '',
    traceId: '',
    atNs: parseTime(text(time, 'time')) ?? fail('time'),
    ...(shown && { body: rebuilt(shown, input) }),
    ...(token && { token: tokenFacts(token, at(input, 'writ', 'token')) }),
  }
  return { kind: 'facts', facts, showsQuery: head?.query !== undefined, body: shown, token }
}

/** A record says whether a body was cut off wherever the policy was let see bodies, and nowhere else. */
function bodyOf(input: Json | undefined): RecordedBody | undefined {
  if (at(input, 'truncated_body') === undefined) return undefined
  return {
    parsed: parsedOf(at(input, 'parsed_body'), at(input, 'parsed_body_text'), 'parsed_body_text'),
    leftOut: pathsOf(at(input, 'parsed_body_left_out') ?? [], 'parsed_body_left_out'),
    empty: sizeOf(input) === 0,
  }
}

function tokenOf(token: Json | undefined): RecordedToken | undefined {
  if (token === undefined) return undefined
  const claims = parsedOf(at(token, 'claims'), at(token, 'claims_text'), 'claims_text')
  if (claims !== undefined && !isExactObject(claims)) fail('writ.token.claims')
  return { claims, leftOut: pathsOf(at(token, 'claims_left_out') ?? [], 'claims_left_out') }
}

/** Of what was kept: a token whose `sub` or `aud` was not has neither. */
function tokenFacts({ claims }: RecordedToken, token: Json | undefined): TokenFacts {
  const known = isExactObject(claims) ? claims : {}
  const { sub, aud } = known
  return {
    provider: text(at(token, 'provider'), 'writ.token.provider'),
    issuer: text(at(token, 'issuer'), 'writ.token.issuer'),
    subject: typeof sub === 'string' ? sub : undefined,
    audiences: audiencesOf(aud) ?? [],
    claims: known,
    sha256: text(at(token, 'sha256'), 'writ.token.sha256'),
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

function sizeOf(input: Json | undefined): number {
  const size = Number(at(input, 'attributes', 'request', 'http', 'size') ?? 0)
  return Number.isSafeInteger(size) ? size : fail('http.size')
}

/** A body of which nothing is shown is one without members. */
const rebuilt = ({ parsed }: RecordedBody, input: Json | undefined): RequestBody => ({
  parsed: parsed === undefined ? {} : parsed,
  text: undefined,
  truncated: at(input, 'truncated_body') === true,
  size: sizeOf(input),
})

function readHead(http: Json): RequestHead {
  const whole = text(at(http, 'path'), 'http.path')
  const cut = whole.indexOf('?') // No path in its normal form holds one.
  return {
    method: text(at(http, 'method'), 'http.method'),
    authority: text(at(http, 'host'), 'http.host'),
    path: cut < 0 ? whole : whole.slice(0, cut),
    query: cut < 0 ? undefined : whole.slice(cut + 1),
    headers: headersOf(at(http, 'headers') ?? {}),
    protocol: oneOf(['HTTP/1.1', 'HTTP/1.0', 'HTTP/2'], at(http, 'protocol'), 'http.protocol'),
    scheme: oneOf(['http', 'https'], at(http, 'scheme'), 'http.scheme'),
  }
}

function headersOf(value: Json): Readonly<Record<string, string>> {
  if (!isObject(value) || !Object.values(value).every((field) => typeof field === 'string')) fail('http.headers')
  return value as Readonly<Record<string, string>>
}

function socketOf(of: Json | undefined, name: string): { readonly address: string; readonly port: number } {
  const port = at(of, 'address', 'socketAddress', 'portValue')
  return {
    address: text(at(of, 'address', 'socketAddress', 'address'), `${name}.address`),
    port: typeof port === 'number' ? port : fail(`${name}.portValue`),
  }
}

function identifiedOf(principal: Json | undefined, peer: Json | undefined): Identified {
  if (principal === undefined) return { ok: false, code: 'identity_missing', detail: 'the record names no caller' }
  const id = idOf(principal, 'source.principal')
  const serial = at(peer, 'serial')
  const identity: Identity = {
    id,
    trustDomain: trustDomainOf(id),
    proof: proofs.find((known) => known === at(peer, 'proof')) ?? 'x509',
    serial: typeof serial === 'string' ? serial : '',
    notBeforeMs: momentOf(at(peer, 'not_before')),
    notAfterMs: momentOf(at(peer, 'not_after')),
  }
  return { ok: true, identity }
}

const proofs = ['x509', 'jwt', 'declared'] as const

/** Times of certificates, which are the same for many records: read once, and forgotten where there are too many. */
const moments = new Map<string, number>()
const maxMoments = 256

function momentOf(value: Json | undefined): number {
  if (typeof value !== 'string') return 0
  const known = moments.get(value)
  if (known !== undefined) return known
  const ns = parseTime(value)
  if (ns === undefined) return 0
  if (moments.size >= maxMoments) moments.clear()
  moments.set(value, Number(ns / 1_000_000n))
  return Number(ns / 1_000_000n)
}

const idOf = (value: Json | undefined, member: string) => parseSpiffeId(text(value, member)) ?? fail(member)

const text = (value: Json | undefined, member: string): string => (typeof value === 'string' ? value : fail(member))

const oneOf = <Word extends string>(words: readonly Word[], value: Json | undefined, member: string): Word =>
  words.find((word) => word === value) ?? fail(member)

function fail(member: string): never {
  throw new Unreadable(member)
}

function at(value: Json | undefined, ...steps: readonly string[]): Json | undefined {
  let here = value
  for (const step of steps) {
    if (!isObject(here) || !Object.hasOwn(here, step)) return undefined
    here = here[step]
  }
  return here
}
