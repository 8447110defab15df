/**
 * The input of a policy: OPA-Envoy's v3 shape, so that its policies run unchanged, with ours beside it under `writ`.
 * One function for what is judged and one for what is recorded, so that a replay rebuilds the former from the latter.
 */

import type { RequestFacts, RequestHead } from './facts.ts'
import type { Json } from './json.ts'
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
  if (facts.source.identified.ok) input['source_principal'] = facts.source.identified.identity.id
  input['version'] = { encoding: 'protojson', ext_authz: 'v3' }
  input['writ'] = context(facts)
  return input
}

/** What the record keeps: no headers but those the binding names, no query unless it says so, nothing derived. */
export function recordedInput(facts: RequestFacts, use: PolicyUse | undefined): Json {
  return { attributes: attributes(facts, facts.head && recordedHttp(facts, facts.head, use)), writ: context(facts) }
}

function attributes(facts: RequestFacts, http: Members | undefined): Json {
  const source: Members = { address: socketAddress(facts.source) }
  if (facts.source.identified.ok) source['principal'] = facts.source.identified.identity.id
  const whole: Members = {
    destination: { address: socketAddress(facts.destination) },
    source,
  }
  if (http) whole['request'] = { http, time: formatTime(facts.atNs) }
  return whole
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
  return { ...commonHttp(facts, head), headers, path, query: head.query ?? '' }
}

function recordedHttp(facts: RequestFacts, head: RequestHead, use: PolicyUse | undefined): Members {
  const http: Members = { ...commonHttp(facts, head), path: use?.recordQuery ? pathAndQuery(head) : head.path }
  const headers: Members = Object.create(null) // A field may be called `__proto__`, and is then one like any other.
  for (const name of use?.recordHeaders ?? []) {
    if (Object.hasOwn(head.headers, name)) headers[name] = head.headers[name]!
  }
  if (Object.keys(headers).length > 0) http['headers'] = headers
  return http
}

function commonHttp(facts: RequestFacts, head: RequestHead): Members {
  return {
    host: head.authority,
    id: facts.requestId,
    method: head.method,
    protocol: head.protocol,
    scheme: head.scheme,
  }
}

function context(facts: RequestFacts): Json {
  const whole: Members = { direction: facts.direction, listener: facts.listener, workload: facts.workload }
  if (facts.destination.service !== undefined) whole['service'] = facts.destination.service
  return whole
}

const socketAddress = (end: { readonly address: string; readonly port: number }): Json => ({
  socketAddress: { address: end.address, portValue: end.port },
})

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
