/**
 * What of a request a policy may read that records leave out, and what of that is not known of one decision. Unsure
 * means yes: a part that nobody can follow may read all below it.
 */

import type { RequestHead } from '../../core/facts.ts'
import type { InputPath } from '../../core/policy.ts'
import { bodyLacks, bodyReads, type RecordedBody } from './body-reads.ts'
import { claimLacks, claimReads, type RecordedToken } from './claim-reads.ts'

/** The facts that a binding keeps or leaves out: all others stand in every record. */
export interface Leavable {
  readonly query: boolean
  /** Lower-case names. */
  readonly headers: 'all' | ReadonlySet<string>
  /** Members below `parsed_body`, each with all that is below it; `[]` is all of it. Default none. */
  readonly body?: readonly InputPath[]
  /** The body as it came, which no record keeps. Default false. */
  readonly bodyText?: boolean
  /** Claims of a token. Default none. */
  readonly claims?: readonly InputPath[]
}

export const everything: Leavable = { query: true, headers: 'all', body: [[]], bodyText: true, claims: [[]] }

export const nothing: Leavable = { query: false, headers: new Set() }

const http = ['attributes', 'request', 'http']
const headers = [...http, 'headers']

/** The query is in more than one place of the input. */
const ofQuery = [[...http, 'query'], [...http, 'path'], [...headers, ':path'], ['parsed_query']]

/** Pseudo-headers are made of what every record has. */
const recorded: ReadonlySet<string> = new Set([':authority', ':method', ':scheme', ':path'])

/** `paths`: what is read below `input`, each up to the first step that is not fixed; `[]` is the whole input. */
export function readsOf(paths: readonly (readonly string[])[]): Leavable {
  const named = new Set<string>()
  let all = false
  for (const path of paths) {
    if (begins(path, headers)) all = true
    else if (begins(headers, path) && !recorded.has(path[headers.length]!)) named.add(path[headers.length]!)
  }
  const query = paths.some((path) => ofQuery.some((place) => begins(path, place) || begins(place, path)))
  return { query, headers: all ? 'all' : named, ...bodyReads(paths), ...claimReads(paths) }
}

/** What a record shows of a request. */
export interface Shown {
  readonly head: RequestHead | undefined
  readonly showsQuery: boolean
  /** Undefined where its binding let the policy see no bodies: then no policy of that binding sees any. */
  readonly body?: RecordedBody | undefined
  /** Undefined where the request brought no token that was taken. */
  readonly token?: RecordedToken | undefined
}

/**
 * Names of what may be read and is not known: `query`, `headers`, `header x-role`, `body member a.b`, `claim sub`. `kept` is what is known to have been
 * kept whenever it was sent, so that its absence from a record means that it was not sent.
 */
export function lacking(reads: Leavable, { head, showsQuery, body, token }: Shown, kept: Leavable): readonly string[] {
  if (!head) return []
  const lacks = body ? bodyLacks(reads, body, kept) : []
  if (token) lacks.push(...claimLacks(reads, token, kept))
  if (reads.query && !showsQuery && !kept.query) lacks.push('query')
  if (kept.headers === 'all') return lacks
  if (reads.headers === 'all') return [...lacks, 'headers']
  for (const name of reads.headers) {
    if (!Object.hasOwn(head.headers, name) && !kept.headers.has(name)) lacks.push(`header ${name}`)
  }
  return lacks
}

/** Whether `start` is a beginning of `path`, or all of it. */
const begins = (start: readonly string[], path: readonly string[]): boolean =>
  start.length <= path.length && start.every((step, i) => step === path[i])
