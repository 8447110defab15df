/**
 * Fields of a request that are somebody's personal data: a record holds a salted digest in their place (RFC 9901 section
 * 4.2), and what was digested, the disclosure, is kept apart under a key that can be destroyed.
 */

import { toBase64Url, utf8 } from './bytes.ts'
import { exactText, hasDecimals, roundedJson } from './exact.ts'
import type { RequestFacts } from './facts.ts'
import { pickMembers } from './input-body.ts'
import { isObject, type Json } from './json.ts'
import type { InputPath, Sealing } from './policy.ts'

/** What goes beside a record and never into it. */
export interface Disclosures {
  /** Whose they are; undefined where the binding names no field that says so, or the request has none. */
  readonly subject: string | undefined
  /** base64url of JSON `[salt, name, value]`, each the text that its digest is of. */
  readonly texts: readonly string[]
}

/** `header x-user`, `query`, `path`, `source address`, `claim a.b`, `member a.b`. */
export const personalShape: RegExp =
  /^(?:header [a-z0-9!#$%&'*+.^_`|~-]{1,128}|query|path|source address|(?:claim|member) [^\u0000-\u0020]{1,256})$/

type Members = { readonly [name: string]: Json }

export const stepsOf = (field: string): InputPath => field.slice(field.indexOf(' ') + 1).split('.')

/** The value of a named field, undefined where the request has none. */
export function fieldOf(field: string, facts: RequestFacts): Json | undefined {
  const { head, token, body, source } = facts
  if (field === 'path') return head?.path
  if (field === 'query') return head?.query
  if (field === 'source address') return source.address
  if (field.startsWith('header ')) {
    const name = field.slice(7)
    return head && Object.hasOwn(head.headers, name) ? head.headers[name] : undefined
  }
  const of = field.startsWith('claim ') ? token?.claims : body?.parsed
  if (of === undefined || of === null) return undefined
  const { kept } = pickMembers(of, [stepsOf(field)])
  if (kept === undefined || kept === null) return undefined
  let value: Json = hasDecimals(kept) ? JSON.parse(exactText(kept)) : roundedJson(kept)
  for (const step of stepsOf(field)) value = isObject(value) ? (value[step] ?? null) : null
  return value
}

/** Digests by field, the record's input without what they are of, and the disclosures. */
export function seal(
  input: Json,
  facts: RequestFacts,
  use: Sealing,
  random: (length: number) => Uint8Array,
  sha256: (bytes: Uint8Array) => Uint8Array,
): { readonly input: Json; readonly sealed: Readonly<Record<string, string>>; readonly disclosures: Disclosures } {
  const sealed: Record<string, string> = {}
  const texts: string[] = []
  for (const field of use.personal ?? []) {
    const value = fieldOf(field, facts)
    if (value === undefined) continue
    const text = toBase64Url(utf8(JSON.stringify([toBase64Url(random(16)), field, value])))
    sealed[field] = toBase64Url(sha256(utf8(text)))
    texts.push(text)
  }
  const subject = use.subject === undefined ? undefined : fieldOf(use.subject, facts)
  const disclosures = { subject: typeof subject === 'string' && subject !== '' ? subject : undefined, texts }
  return { input: withoutPersonal(input, facts, use.personal ?? []), sealed, disclosures }
}

/** Headers, claims and members are never put in where they are personal; path, query and address are always there. */
function withoutPersonal(input: Json, facts: RequestFacts, personal: readonly string[]): Json {
  let without = input as Members
  const { attributes } = without as { readonly attributes: Members }
  const request = attributes['request'] as Members | undefined
  if (request && (personal.includes('path') || personal.includes('query'))) {
    const { path: _, ...http } = request['http'] as Members
    const path = personal.includes('path') ? undefined : facts.head!.path
    const kept = { ...http, ...(path !== undefined && { path }) }
    without = { ...without, attributes: { ...attributes, request: { ...request, http: kept } } }
  }
  if (!personal.includes('source address')) return without
  const { address: _, ...source } = (without['attributes'] as Members)['source'] as Members
  return { ...without, attributes: { ...(without['attributes'] as Members), source } }
}
