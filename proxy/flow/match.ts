/** Whether a request is one of a route's (Gateway API HTTPRouteMatch). Patterns are RE2's, so they take linear time. */

import { RE2JS } from 're2js'
import type { RequestHead } from '../../core/facts.ts'
import type { RouteMatch } from '../../core/snapshot.ts'
import { fieldOf } from '../exchange.ts'

export type Accepts = (head: RequestHead) => boolean

/** Every member that is given must hold; a pattern must fit the whole text. Throws where a pattern is none of RE2's. */
export function matcherOf(match: RouteMatch): Accepts {
  const path = pathMatcher(match.path)
  const { method } = match
  const rest = [
    ...Object.entries(match.headers ?? {}).map(
      ([name, value]): Accepts =>
        (head) =>
          fieldOf(head, name) === value,
    ),
    ...Object.entries(match.headerPatterns ?? {}).map(([name, text]): Accepts => {
      const pattern = RE2JS.compile(text)
      return (head) => fits(pattern, fieldOf(head, name))
    }),
    ...Object.entries(match.query ?? {}).map(
      ([name, value]): Accepts =>
        (head) =>
          parameterOf(head.query, name) === value,
    ),
    ...Object.entries(match.queryPatterns ?? {}).map(([name, text]): Accepts => {
      const pattern = RE2JS.compile(text)
      return (head) => fits(pattern, parameterOf(head.query, name))
    }),
  ]
  if (method === undefined && rest.length === 0) return path
  return (head) => (method === undefined || method === head.method) && path(head) && rest.every((one) => one(head))
}

/** Longest text that a pattern is held against, in characters. A longer one fits none. */
const longestText = 8192

const fits = (pattern: RE2JS, text: string | undefined): boolean =>
  text !== undefined && text.length <= longestText && pattern.matches(text)

function pathMatcher({ type, value }: RouteMatch['path']): Accepts {
  switch (type) {
    case 'exact':
      return ({ path }) => path === value
    case 'prefix': {
      const bare = bareOf(value)
      return ({ path }) => underPrefix(path, bare)
    }
    case 'regex': {
      const pattern = RE2JS.compile(value)
      return ({ path }) => fits(pattern, path)
    }
  }
}

/** A slash at a prefix's end means nothing. */
export const bareOf = (prefix: string): string => (prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)

/** By whole segments: `/a` holds `/a` and `/a/b`, not `/ab`. */
const underPrefix = (path: string, bare: string): boolean =>
  path.startsWith(bare) && (path.length === bare.length || path.charCodeAt(bare.length) === 47)

/** The first parameter of that name, escapes decoded; a plus sign is one. */
export function parameterOf(query: string | undefined, name: string): string | undefined {
  if (query === undefined) return undefined
  for (const pair of query.split('&')) {
    const cut = pair.indexOf('=')
    if (decoded(cut < 0 ? pair : pair.slice(0, cut)) === name) return cut < 0 ? '' : decoded(pair.slice(cut + 1))
  }
  return undefined
}

/** Queries with broken escapes never get here; what else cannot be decoded stands as it is. */
function decoded(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
