/** Where a request may bring a token, and whether it brings one, none, or too many. */

import type { RequestHead } from '../../core/facts.ts'
import { parseQuery } from '../../core/input.ts'
import { headerValue } from '../../core/input-text.ts'
import type { TokenPlace, TokenProvider } from '../../core/token.ts'

export type Brought =
  | { readonly kind: 'none' }
  /** `text` may be no token at all. */
  | { readonly kind: 'one'; readonly text: string; readonly place: TokenPlace }
  | { readonly kind: 'many' }

/**
 * Over all places of all providers: RFC 6750 section 2 lets a request use one of them, once. Whoever reads the request
 * next might take the other.
 */
export function broughtToken(head: RequestHead, providers: readonly TokenProvider[]): Brought {
  const seen = new Set<string>()
  let found: Brought = { kind: 'none' }
  for (const { from } of providers) {
    for (const place of from) {
      const name = nameOfPlace(place)
      if (seen.has(name)) continue
      seen.add(name)
      for (const text of textsAt(head, place)) {
        if (found.kind !== 'none') return { kind: 'many' }
        found = { kind: 'one', text, place }
      }
    }
  }
  return found
}

/** Two places are one where the same text would be read at both. */
export const nameOfPlace = (place: TokenPlace): string =>
  place.kind === 'header' ? `header ${place.name} ${place.prefix.toLowerCase()}` : `${place.kind} ${place.name}`

function textsAt(head: RequestHead, place: TokenPlace): readonly string[] {
  switch (place.kind) {
    case 'header':
      return inHeader(headerValue(head, place.name), place.prefix)
    case 'query':
      return inQuery(head.query, place.name)
    case 'cookie':
      return inCookies(headerValue(head, 'cookie'), place.name)
  }
}

/**
 * A field that comes more than once is one text with commas here, and no token holds any: so of several parts each
 * counts that begins as a token does, and also what stands beside it.
 */
export function inHeader(value: string | undefined, prefix: string): readonly string[] {
  if (value === undefined) return []
  const texts = value.split(',').flatMap((part) => after(prefix, part.trim()) ?? [])
  return texts.length > 0 && value.includes(',') ? value.split(',').map((part) => part.trim()) : texts
}

/** Schemes have no case (RFC 9110 section 11.1). What has the scheme alone is a token that is none. */
function after(prefix: string, text: string): string | undefined {
  const scheme = prefix.trimEnd()
  if (text.slice(0, scheme.length).toLowerCase() !== scheme.toLowerCase()) return undefined
  const rest = text.slice(scheme.length)
  if (scheme.length < prefix.length && rest !== '' && !/^[ \t]/.test(rest)) return undefined // A longer word.
  return rest.trim()
}

function inQuery(query: string | undefined, name: string): readonly string[] {
  if (query === undefined) return []
  const found = parseQuery(query)
  return Object.hasOwn(found, name) ? (found[name] as readonly string[]) : []
}

/** RFC 6265 section 5.4; a value may stand in quotes. Commas are of fields that came more than once. */
export function inCookies(value: string | undefined, name: string): readonly string[] {
  if (value === undefined) return []
  return value.split(/[;,]/).flatMap((pair) => {
    const cut = pair.indexOf('=')
    if (cut < 0 || pair.slice(0, cut).trim() !== name) return []
    const text = pair.slice(cut + 1).trim()
    return [/^"[^"]*"$/.test(text) ? text.slice(1, -1) : text]
  })
}
