/**
 * The input of a policy (core/input.ts) as JSON text, written in one go: every request pays for it. What it holds is
 * said there alone; test/core/input-text.test.ts holds the two equal for any facts.
 */

import type { RequestFacts, RequestHead } from './facts.ts'
import { contextOf, destinationOf, parsePath, parseQuery, pathAndQuery, sourceOf } from './input.ts'
import { bodyText, httpBodyText } from './input-body.ts'
import { canonicalJson, canonicalString as quoted } from './json.ts'
import { formatTime } from './time.ts'

/** JSON of `policyInput(facts)`, in no particular order. Throws a TypeError on half a character. */
export function policyInputText(facts: RequestFacts): string {
  const { head } = facts
  const { identified } = facts.source
  let text = `{"attributes":${attributesText(facts, head && judgedHttpText(facts, head))}`
  if (head) text += `,"parsed_path":${stepsText(head.path)},"parsed_query":${queryText(head.query)}`
  if (facts.body) text += bodyText(facts.body)
  if (identified.ok) text += `,"source_principal":${quoted(identified.identity.id)}`
  return `${text},"version":{"encoding":"protojson","ext_authz":"v3"},"writ":${canonicalJson(contextOf(facts))}}`
}

function attributesText(facts: RequestFacts, http: string | undefined): string {
  const request = http === undefined ? '' : `,"request":{"http":${http},"time":"${formatTime(facts.atNs)}"}`
  const destination = canonicalJson(destinationOf(facts.destination))
  return `{"destination":${destination}${request},"source":${canonicalJson(sourceOf(facts.source))}}`
}

/** A head that can give its fields one by one, and does unless their names repeat. */
type ReadableHead = RequestHead & {
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
