/** The one identity of this process, as its Workload API serves it: a sidecar beside its workload. */

import type { IdentitySource } from '../../../core/ports.ts'
import { type SpiffeId, trustDomainOf } from '../../../core/spiffe.ts'
import type { HeldToken, WorkloadIdentities } from '../../../core/workload.ts'

export function ownIdentities(
  source: IdentitySource,
  mintJwt: (audiences: readonly string[]) => Promise<HeldToken>,
): WorkloadIdentities {
  return {
    current() {
      const { svid, bundles } = source.current()
      const own = trustDomainOf(svid.id)
      const federatesWith = [...bundles.keys()].filter((domain) => domain !== own)
      return { svids: [{ svid, hint: '', federatesWith }], bundles }
    },
    subscribe: (changed) => source.subscribe(changed),
    mintJwt: (_: SpiffeId, audiences) => mintJwt(audiences),
  }
}
