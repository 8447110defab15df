/** `--assume-kept`: which facts were not sent where a record lacks them. */

import type { Leavable } from '../../audit/replay/reads.ts'

export function keptOf(facts: readonly string[]): Leavable {
  const names = facts.filter((name) => name !== 'query' && name !== 'headers' && !isOfBody(name) && !isOfClaims(name))
  return {
    query: facts.includes('query'),
    headers: facts.includes('headers') ? 'all' : new Set(names),
    body: facts.filter(isOfBody).map((member) => member.split('.').slice(1)),
    claims: facts.filter(isOfClaims).map((member) => member.split('.').slice(1)),
  }
}

/** Names of members keep their case; those of headers have none. */
export const isOfBody = (fact: string): boolean => fact === 'body' || fact.startsWith('body.')

export const isOfClaims = (fact: string): boolean => fact === 'claims' || fact.startsWith('claims.')
