/**
 * Which bundle everybody has, by their own word: proxies say it in their reports, agents and all others by the version that
 * they show when they ask for the next one. A new root signs once nobody is waited for.
 */

import type { AuthorityFacts } from '../../ca/authorities.ts'
import type { SharedState } from '../../ca/node/shared.ts'
import { waitingFor } from '../../control/authority.ts'
import type { HealthReport, WorkloadHealth } from '../../control/health.ts'
import type { Identity } from '../../core/identity.ts'
import type { SpiffeId } from '../../core/spiffe.ts'

export interface AppliedBundles {
  onReport(workload: SpiffeId, report: HealthReport): Promise<void>
  /** `sequence` is that of the bundle it has, undefined where it has not said so. */
  onTrust(identity: Identity, sequence: number | undefined): void
  /** Names of those with living certificates that lack the prepared root. */
  waiting(prepared: Pick<AuthorityFacts, 'publishedIn'> | undefined): Promise<readonly string[]>
}

export function makeApplied(options: {
  /** Where several control planes hear a part each. Default this one hears all. */
  readonly shared: Pick<SharedState, 'applied' | 'behind'> | undefined
  /** Proxies of the mesh, which this control plane heard. */
  readonly proxies: () => readonly WorkloadHealth[]
  readonly isOfMesh: (id: SpiffeId) => boolean
  readonly nowMs: () => number
}): AppliedBundles {
  const { shared, proxies, isOfMesh, nowMs } = options
  const others = new Map<SpiffeId, { readonly trust: number; readonly notAfterMs: number }>()
  return {
    async onReport(workload, { trust = 0, not_after }) {
      await shared?.applied({ workload, trust, notAfterMs: Date.parse(not_after ?? '') || 0 })
    },
    onTrust({ id, notAfterMs }, sequence) {
      if (isOfMesh(id)) return
      if (shared) {
        // It is answered all the same: whose word is not kept is waited for.
        void shared.applied({ workload: id, trust: sequence, notAfterMs }).catch(() => undefined)
      } else others.set(id, { trust: sequence ?? others.get(id)?.trust ?? 0, notAfterMs })
    },
    async waiting(prepared) {
      for (const [id, { notAfterMs }] of others) if (notAfterMs <= nowMs()) others.delete(id)
      if (!prepared) return []
      if (shared) return shared.behind(prepared.publishedIn, nowMs())
      const behind = [...others].filter(([, { trust }]) => trust < prepared.publishedIn)
      return [...waitingFor(prepared, proxies(), nowMs()), ...behind.map(([id]) => id)]
    },
  }
}
