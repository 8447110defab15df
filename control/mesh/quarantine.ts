/** Callers that the mesh file cuts off, as documents of a kind of their own. */

import { z } from 'zod'
import { maxQuarantined, type Quarantined } from '../../core/snapshot.ts'
import type { SpiffeId, TrustDomain } from '../../core/spiffe.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import { byText, spiffePath } from './words.ts'
import { idOf } from './workloads.ts'

export interface QuarantineSpec {
  readonly caller: string
  readonly until?: string
  readonly reason: string
}

export const quarantineSpec: z.ZodType<QuarantineSpec> = z
  .strictObject({
    caller: spiffePath.describe('SPIFFE path or whole id of the caller; also one of another trust domain.'),
    until: z.iso
      .datetime({ error: 'is not a time such as 2026-11-23T17:04:09Z' })
      .describe('When it is over. Default: when the document is taken out.')
      .exactOptional(),
    reason: z.string().min(1).max(512).describe('For records: callers do not read it.'),
  })
  .describe('A caller that is cut off: every proxy denies whatever it asks, with the code quarantined.')

export function quarantineFrom(
  documents: readonly Placed<QuarantineSpec>[],
  trustDomain: TrustDomain,
): { readonly quarantine: readonly Quarantined[]; readonly problems: readonly Problem[] } {
  const found = new Map<SpiffeId, Quarantined>()
  const problems: Problem[] = []
  for (const document of documents) {
    const { caller, until, reason } = document.spec
    const id = idOf(caller, trustDomain)
    if (!id) {
      problems.push(problemAt(document, ['spec', 'caller'], `${caller} is no SPIFFE id`, 'name a path, such as /batch'))
    } else if (found.has(id)) {
      const cure = 'keep one document for each caller'
      problems.push(problemAt(document, ['spec', 'caller'], `${id} is in another Quarantine already`, cure))
    } else found.set(id, { id, ...(until !== undefined && { untilMs: Date.parse(until) }), reason })
  }
  if (found.size > maxQuarantined) {
    const problem = `there are ${found.size} of them, and proxies hold ${maxQuarantined}`
    problems.push(problemAt(documents.at(-1)!, ['kind'], problem, 'withdraw the issuer of so many callers instead'))
  }
  return { quarantine: [...found.values()].toSorted((a, b) => byText(a.id, b.id)), problems }
}
