/** Trust domains of others, and where their newest bundles are (SPIFFE Federation section 5.2). */

import type { TrustBundle } from './identity.ts'
import type { SpiffeId, TrustDomain } from './spiffe.ts'

/** URL, profile and trust domain are each configured; none is inferred from another. */
export interface FederatedDomain {
  readonly trustDomain: TrustDomain
  /** `https://`, without userinfo. */
  readonly url: string
  readonly profile: /** `roots`: DER, in the place of those that the machine has. */
    | { readonly kind: 'https_web'; readonly roots?: readonly Uint8Array[] }
    | { readonly kind: 'https_spiffe'; readonly endpointId: SpiffeId }
  /** What the operator was given; https_spiffe begins with it. */
  readonly first?: TrustBundle
}
