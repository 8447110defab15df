/** Who is waited for before a new root may sign. */

import { type Authorities, type AuthorityFacts, preparedOf } from '../ca/authorities.ts'
import type { WorkloadHealth } from './health.ts'

/**
 * Workloads that hold a certificate that still holds and have not said that they have the prepared root. One whose
 * certificate is over has nothing to lose: it gets the newest bundle with its next one. Empty where none is prepared.
 */
export function waitingFor(
  authorities: Authorities,
  workloads: readonly WorkloadHealth[],
  nowMs: number,
): readonly string[] {
  const prepared: AuthorityFacts | undefined = preparedOf(authorities)
  if (!prepared) return []
  return workloads
    .filter(({ report }) => report && !(Date.parse(report.not_after ?? '') <= nowMs))
    .filter(({ report }) => (report!.trust ?? 0) < prepared.publishedIn)
    .map(({ name }) => name)
}
