/** Who is calling, and how we know. */

import type { SpiffeId, TrustDomain } from './spiffe.ts'

/** A peer whose name was proven. */
export interface Identity {
  readonly id: SpiffeId
  readonly trustDomain: TrustDomain
  /**
   * What proved it: an X509-SVID, a JWT-SVID, or a token of its platform that a registration entry names; `declared` is a
   * workload's own listener (0600 socket or loopback).
   */
  readonly proof: 'x509' | 'jwt' | 'platform' | 'declared'
  /** The certificate's serial number or the token's `jti`, in lower-case hex; empty where there is none. */
  readonly serial: string
  /** Milliseconds since 1970. For a chain: the narrowest window over all its certificates. */
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** Why a peer has no name: a closed list, each also a decision code. */
export type IdentityRefusal =
  | 'identity_missing' // No certificate and no token.
  | 'identity_invalid' // A chain, signature or SVID rule does not hold.
  | 'identity_expired' // Past its end or before its start.
  | 'identity_revoked' // On the deny list.
  | 'identity_untrusted' // No trust bundle for its trust domain, or not signed by it.

export type Identified =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly code: IdentityRefusal; readonly detail: string }

/** What a peer showed. Certificates are DER, the leaf first. */
export type Evidence =
  | { readonly kind: 'none' }
  | { readonly kind: 'x509'; readonly chain: readonly Uint8Array[] }
  | { readonly kind: 'jwt'; readonly token: string }
  /** Of the platform it runs on: Kubernetes, a cloud, a CI system. */
  | { readonly kind: 'platform'; readonly token: string }
  | { readonly kind: 'declared'; readonly identity: Identity }

/**
 * The other end of a connection. `known` is the identifier's own memory of its last answer, kept with the connection;
 * `evidence` may become an equal one, which connections of one peer share.
 */
export interface Peer {
  evidence: Evidence
  readonly address: string
  readonly port: number
  known?: { readonly answer: Identified; readonly generation: number; readonly untilMs: number }
}

/** The roots that may speak for one trust domain, and for no other (SPIFFE Trust Domain and Bundle section 4). */
export interface TrustBundle {
  readonly trustDomain: TrustDomain
  /** Grows with each change; below 2^53. */
  readonly sequence: number
  /** Root certificates, DER. */
  readonly roots: readonly Uint8Array[]
  /** Keys that may sign its JWT-SVIDs. Default none, and then none of its tokens is taken. */
  readonly jwtKeys?: readonly JwtKey[]
  /** How often to ask for a newer one, in seconds. Default 300. */
  readonly refreshHintS?: number
}

/** A public key that may sign JWT-SVIDs: the members of its JWK (RFC 7517) that count. */
export type JwtKey = {
  /** What a token's header names it by. */
  readonly kid: string
  /** The only algorithm it is for, where it says one. */
  readonly alg?: string
} & (
  | { readonly kty: 'EC'; readonly crv: string; readonly x: string; readonly y: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string }
)

/** A workload's own certificate and key. */
export interface Svid {
  readonly id: SpiffeId
  /** DER, the leaf first, without the root. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8 PEM of a P-256 key. */
  readonly keyPem: string
  readonly serial: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** Everything a proxy knows about identity at one moment; `generation` grows whenever any of it changes. */
export interface IdentityState {
  readonly generation: number
  readonly svid: Svid
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>
  /** Ids and certificate serials (hex) that are refused from now on. */
  readonly denied: ReadonlySet<string>
}
