/** Platforms whose word is taken for what runs on them: who signs it, and what of it becomes selectors. */

import type { IdentityRefusal } from './identity.ts'
import type { TokenKeys } from './token.ts'
import type { Selector } from './workload.ts'

/** An issuer of tokens: a Kubernetes cluster, a cloud, a CI system. */
export interface PlatformIssuer {
  /** Begins each selector that comes of its tokens, so that no other issuer can say the same. */
  readonly name: string
  /** What `iss` must be, letter for letter. */
  readonly issuer: string
  /** One of them must be in `aud`. */
  readonly audiences: readonly string[]
  readonly keys: TokenKeys
  /** How far its clock may be from ours, in milliseconds. Default 60 000. */
  readonly clockSkewMs: number
  readonly algorithms: readonly string[]
  /**
   * Whether one token may be shown again before its end. False for those that are made for one use; a service account's
   * stands in a file and is read by each start of its pod.
   */
  readonly reuse: boolean
}

/** Roots whose certificates prove a node or a device that had one before there was a mesh. */
export interface PlatformRoots {
  readonly name: string
  /** DER. */
  readonly roots: readonly Uint8Array[]
  /** Revocation lists of their issuers, DER. One that is old or cannot be read refuses. Default none. */
  readonly lists?: readonly Uint8Array[]
}

/** What was shown, once it is known to be true. */
export type Proven =
  | {
      readonly ok: true
      readonly selectors: ReadonlySet<Selector>
      /** For records: `github:<first 8 hex digits of its digest>`. */
      readonly evidence: string
      /** SHA-256 of what was shown, lower-case hex. */
      readonly digest: string
      readonly reuse: boolean
      readonly notBeforeMs: number
      readonly notAfterMs: number
    }
  | { readonly ok: false; readonly code: IdentityRefusal; readonly detail: string }

/** Is this token of one of our platforms, and what does it prove? Never throws. */
export type ProvePlatform = (token: string, nowMs: number) => Promise<Proven>
