/**
 * The input of a policy: OPA-Envoy's v3 shape, so that its policies run unchanged, with ours beside it under `writ`.
 * One function for what is judged and one for what is recorded, so that a replay rebuilds the former from the latter.
 */

import type { GrpcCall, RequestFacts, RequestHead } from './facts.ts'
import { httpBody, judgedBody, recordedBody, sizeOf } from './input-body.ts'
import { judgedToken, recordedToken } from './input-token.ts'
import { constantJson, type Json } from './json.ts'
import type { PolicyUse } from './policy.ts'
import { formatTime } from './time.ts'

type Members = { [key: string]: Json }

/** Everything a policy may read. */
export function policyInput(facts: RequestFacts): Json {
  const input: Members = { attributes: attributes(facts, facts.head && judgedHttp(facts, facts.head)) }
  if (facts.head) {
    input['parsed_path'] = parsePath(facts.head.path)
    input['parsed_query'] = parseQuery(facts.head.query)
  }
  if (facts.body) Object.assign(input, judgedBody(facts.body))
  if (facts.source.identified.ok) input['source_principal'] = facts.source.identified.identity.id
  input['version'] = { encoding: 'protojson', ext_authz: 'v3' }
  input['writ'] = withToken(facts, facts.token && judgedToken(facts.token))
  return input
}

/**
 * What the record keeps: only headers and members of the body that the binding names, no query unless it says so.
 * `personal`: fields that are sealed. Default those of the binding.
 */
export function recordedInput(
  facts: RequestFacts,
  use: PolicyUse | undefined,
  personal: readonly string[] | undefined = use?.personal,
): Json {
  const http = facts.head && recordedHttp(facts, facts.head, use)
  const token = facts.token && recordedToken(facts.token, use?.recordClaims ?? [])
  const hidden = facts.grpc && personal?.includes('path') // It is the path in other words.
  const input = { attributes: attributes(facts, http), writ: withToken(hidden ? withoutCall(facts) : facts, token) }
  return facts.body ? { ...input, ...recordedBody(facts.body, use?.recordBody ?? []) } : input
}

function withToken(facts: RequestFacts, token: Json | undefined): Json {
  const { grpc } = facts
  if (token === undefined && !grpc) return contextOf(facts)
  return {
    ...(contextOf(facts) as Members),
    ...(grpc && { grpc: grpcOf(grpc) }),
    ...(token !== undefined && { token }),
  }
}

function withoutCall(facts: RequestFacts): RequestFacts {
  const { grpc: _, ...rest } = facts
  return rest
}

export const grpcOf = ({ method, service }: GrpcCall): Json => ({ method, service })

function attributes(facts: RequestFacts, http: Members | undefined): Json {
  const destination = destinationOf(facts.destination)
  const source = sourceOf(facts.source)
  if (!http) return { destination, source }
  return { destination, request: { http, time: formatTime(facts.atNs) }, source }
}

/**
 * The ends of a connection are the same for all its requests: whoever brings the same objects gets the same JSON, whose
 * text is written once.
 */
export function destinationOf(of: RequestFacts['destination']): Json {
  return remembered(destinations, of, ({ address, port }) => ({ address: socketAddress(address, port) }))
}

export function sourceOf(of: RequestFacts['source']): Json {
  return remembered(sources, of, ({ address, port, identified }) => ({
    address: socketAddress(address, port),
    ...(identified.ok ? { principal: identified.identity.id } : undefined),
  }))
}

const destinations = new WeakMap<RequestFacts['destination'], Json>()
const sources = new WeakMap<RequestFacts['source'], Json>()

function remembered<Of extends object>(known: WeakMap<Of, Json>, of: Of, make: (of: Of) => Members): Json {
  const made = known.get(of)
  if (made !== undefined) return made
  const value = constantJson(make(of))
  known.set(of, value)
  return value
}

function judgedHttp(facts: RequestFacts, head: RequestHead): Members {
  const path = pathAndQuery(head)
  const headers: Members = {
    ...head.headers,
    ':authority': head.authority,
    ':method': head.method,
    ':path': path,
    ':scheme': head.scheme,
  }
  const http = { headers, query: head.query ?? '', ...commonHttp(facts, head, path) }
  return facts.body ? { ...http, ...httpBody(facts.body) } : http
}

function recordedHttp(facts: RequestFacts, head: RequestHead, use: PolicyUse | undefined): Members {
  let common = commonHttp(facts, head, use?.recordQuery ? pathAndQuery(head) : head.path)
  if (facts.body) common = { ...common, ...sizeOf(facts.body) }
  if (!use || use.recordHeaders.length === 0) return common
  const headers: Members = Object.create(null) // A field may be called `__proto__`, and is then one like any other.
  for (const name of use.recordHeaders) {
    if (Object.hasOwn(head.headers, name)) headers[name] = head.headers[name]!
  }
  return Object.keys(headers).length > 0 ? { headers, ...common } : common
}

/** In the order of canonical JSON, as everything here: so it need not be sorted. */
function commonHttp(facts: RequestFacts, head: RequestHead, path: string): Members {
  return {
    host: head.authority,
    id: facts.requestId,
    method: head.method,
    path,
    protocol: head.protocol,
    scheme: head.scheme,
  }
}

/** `input.writ` without the token and the call, which are not the same for all requests of a connection. */
export function contextOf({ direction, listener, workload, destination, protocol }: RequestFacts): Json {
  const known = contexts.get(destination)
  if (known?.direction === direction && known.listener === listener && known.workload === workload) return known.json
  const { service } = destination
  const opaque = protocol === undefined ? undefined : { protocol }
  const named = service === undefined ? undefined : { service }
  const json = constantJson({ direction, listener, ...opaque, ...named, workload })
  contexts.set(destination, { direction, listener, workload, json })
  return json
}

const contexts = new WeakMap<
  RequestFacts['destination'],
  Pick<RequestFacts, 'direction' | 'listener' | 'workload'> & { readonly json: Json }
>()

const socketAddress = (address: string, portValue: number): Json => ({ socketAddress: { address, portValue } })

export const pathAndQuery = (head: RequestHead): string =>
  head.query === undefined ? head.path : `${head.path}?${head.query}`

/** The path's steps, percent-decoded once. A normalised path has no bad escapes, so nothing is thrown here. */
export function parsePath(path: string): readonly string[] {
  return path.slice(1).split('/').map(decode)
}

/** Query members in order, "+" as a space, as Go's url.ParseQuery reads them; a name without "=" has an empty value. */
export function parseQuery(query: string | undefined): Members {
  // No prototype: a query may name `__proto__`, and that is then a member like any other.
  const members: { [name: string]: Json[] } = Object.create(null)
  for (const pair of (query ?? '').split('&')) {
    if (pair === '') continue
    const cut = pair.indexOf('=')
    const name = decode((cut < 0 ? pair : pair.slice(0, cut)).replaceAll('+', ' '))
    const value = cut < 0 ? '' : decode(pair.slice(cut + 1).replaceAll('+', ' '))
    const values = members[name]
    if (values) values.push(value)
    else members[name] = [value]
  }
  return members
}

function decode(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
