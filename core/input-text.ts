/**
 * The inputs of core/input.ts as JSON text, written in one go: every request pays for them. What they hold is said
 * there alone; test/core/input-text.test.ts holds the two equal for any facts. Throws a TypeError on a lone surrogate.
 */

import type { RequestFacts, RequestHead } from './facts.ts'
import { parsePath, parseQuery, pathAndQuery } from './input.ts'
import { canonicalJson, canonicalString as quoted } from './json.ts'
import type { PolicyUse } from './policy.ts'
import { formatTime } from './time.ts'

/** JSON of `policyInput(facts)`; its members are in no particular order. */
export function policyInputText(facts: RequestFacts): string {
  const { head } = facts
  const { identified } = facts.source
  let text = `{"attributes":${attributesText(facts, head && judgedHttpText(facts, head))}`
  if (head) text += `,"parsed_path":${stepsText(head.path)},"parsed_query":${queryText(head.query)}`
  if (identified.ok) text += `,"source_principal":${quoted(identified.identity.id)}`
  return `${text},"version":{"encoding":"protojson","ext_authz":"v3"},"writ":${contextText(facts)}}`
}

/** Canonical JSON (RFC 8785) of `recordedInput(facts, use)`. */
export function recordedInputText(facts: RequestFacts, use: PolicyUse | undefined): string {
  const { head } = facts
  const http = head && recordedHttpText(facts, head, use)
  return `{"attributes":${attributesText(facts, http)},"writ":${contextText(facts)}}`
}

function attributesText(facts: RequestFacts, http: string | undefined): string {
  const { source, destination } = facts
  const request = http === undefined ? '' : `,"request":{"http":${http},"time":"${formatTime(facts.atNs)}"}`
  const principal = source.identified.ok ? `,"principal":${quoted(source.identified.identity.id)}` : ''
  return `{"destination":{"address":${addressText(destination)}}${request},"source":{"address":${addressText(source)}${principal}}}`
}

const addressText = (end: { readonly address: string; readonly port: number }): string =>
  `{"socketAddress":{"address":${quoted(end.address)},"portValue":${canonicalJson(end.port)}}}`

function judgedHttpText(facts: RequestFacts, head: RequestHead): string {
  const { headers, query } = head
  const method = quoted(head.method)
  const path = quoted(pathAndQuery(head))
  const host = quoted(head.authority)
  let text = `{"headers":{":authority":${host},":method":${method},":path":${path},":scheme":"${head.scheme}"`
  for (const name of Object.keys(headers)) {
    // No caller's field takes the place of one of those four: no name with a colon is a token either.
    if (name.charCodeAt(0) !== 58) text += `,${quoted(name)}:${quoted(headers[name]!)}`
  }
  return `${text}},"query":${query === undefined ? '""' : quoted(query)},${commonHttpText(facts, head, host, method, path)}}`
}

function recordedHttpText(facts: RequestFacts, head: RequestHead, use: PolicyUse | undefined): string {
  const path = quoted(use?.recordQuery ? pathAndQuery(head) : head.path)
  const common = commonHttpText(facts, head, quoted(head.authority), quoted(head.method), path)
  return `{${use && use.recordHeaders.length > 0 ? recordedHeadersText(head, use) : ''}${common}}`
}

function recordedHeadersText(head: RequestHead, use: PolicyUse): string {
  const kept: Record<string, string> = Object.create(null)
  for (const name of use.recordHeaders) {
    if (Object.hasOwn(head.headers, name)) kept[name] = head.headers[name]!
  }
  const text = canonicalJson(kept)
  return text === '{}' ? '' : `"headers":${text},`
}

const commonHttpText = (facts: RequestFacts, head: RequestHead, host: string, method: string, path: string): string =>
  `"host":${host},"id":${quoted(facts.requestId)},"method":${method},"path":${path},"protocol":"${head.protocol}","scheme":"${head.scheme}"`

function stepsText(path: string): string {
  if (!path.includes('%')) return `[${path.slice(1).split('/').map(quoted).join(',')}]`
  return canonicalJson(parsePath(path))
}

const queryText = (query: string | undefined): string => (query === undefined ? '{}' : canonicalJson(parseQuery(query)))

function contextText({ direction, listener, workload, destination: { service } }: RequestFacts): string {
  const serviceText = service === undefined ? '' : `"service":${quoted(service)},`
  return `{"direction":"${direction}","listener":${quoted(listener)},${serviceText}"workload":${quoted(workload)}}`
}
