/** `--assume-kept`: which facts were not sent where a record lacks them. */

import type { Leavable } from '../../audit/replay/reads.ts'

export function keptOf(facts: readonly string[]): Leavable {
  const names = facts.filter((name) => name !== 'query' && name !== 'headers')
  return { query: facts.includes('query'), headers: facts.includes('headers') ? 'all' : new Set(names) }
}
