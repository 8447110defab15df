/** Which workload gets which identity: what was proven of a caller, and what is registered for whoever proves that. */

import type { Svid, TrustBundle } from './identity.ts'
import type { SpiffeId, TrustDomain } from './spiffe.ts'

/** One thing that was proven: `unix:uid:1000`, `k8s:sa:orders`, `github:repository_id:42`. At most 512 characters. */
export type Selector = string

/** Whoever proves all selectors gets this identity. */
export interface RegistrationEntry {
  /** Unique name: lower-case letters, digits, `.` and `-`. */
  readonly name: string
  readonly id: SpiffeId
  /** The agent on whose host the workload runs. Undefined: whoever proves the selectors to control itself. */
  readonly parent?: SpiffeId
  /** One at least; all of them must be proven. */
  readonly selectors: readonly Selector[]
  /** Life of its certificates, in milliseconds. Default that of the mesh. */
  readonly ttlMs?: number
  /** Life of its JWT-SVIDs, in milliseconds. Default five minutes. */
  readonly jwtTtlMs?: number
  /** DNS names that stand beside the id in its certificates. Default none. */
  readonly dns?: readonly string[]
  /** Trust domains whose bundles it gets beside its own. Default none. */
  readonly federatesWith?: readonly TrustDomain[]
  /** What tells it from other identities of the same workload. Default none. */
  readonly hint?: string
}

/** An entry, and the hash of its content that issuances name it by. */
export interface RevisedEntry extends RegistrationEntry {
  /** First 16 hex digits of the SHA-256 of its canonical form. */
  readonly revision: string
}

/** One identity of a workload, as it is served to it. */
export interface HeldSvid {
  readonly svid: Svid
  readonly hint: string
  readonly federatesWith: readonly TrustDomain[]
}

/** All that one caller may have at one moment; the first identity is its default one. */
export interface HeldIdentities {
  readonly svids: readonly HeldSvid[]
  /** Bundles of its own trust domain and of those that it federates with. */
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>
}

/** A JWT-SVID, and how long it holds. */
export interface HeldToken {
  readonly token: string
  readonly notAfterMs: number
}

/** What a caller of the Workload API is served from, once it is known who it is. */
export interface WorkloadIdentities {
  /** The newest state; without identities where nothing is registered for it. */
  current(): HeldIdentities
  /** Calls back after each change, until the returned function is called. */
  subscribe(changed: () => void): () => void
  /** A JWT-SVID of one of its identities, for one audience or more. Rejects with a WritError. */
  mintJwt(id: SpiffeId, audiences: readonly string[]): Promise<HeldToken>
}
