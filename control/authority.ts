/** Who is waited for before a new root may sign. */

import type { AuthorityFacts } from '../ca/authorities.ts'
import type { WorkloadHealth } from './health.ts'

/**
 * Workloads that hold a certificate that still holds and have not said that they have the prepared root. One whose
 * certificate is over has nothing to lose: it gets the newest bundle with its next one.
 */
export function waitingFor(
  { publishedIn }: Pick<AuthorityFacts, 'publishedIn'>,
  workloads: readonly WorkloadHealth[],
  nowMs: number,
): readonly string[] {
  return workloads
    .filter(({ report }) => report && !(Date.parse(report.not_after ?? '') <= nowMs))
    .filter(({ report }) => (report!.trust ?? 0) < publishedIn)
    .map(({ name }) => name)
}
