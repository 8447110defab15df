/** Join tokens: a secret that is good once, and the digest by which a newcomer knows a right root. */

import { sha256 } from '@noble/hashes/sha2.js'
import { fromBase64Url, toBase64, toBase64Url, toHex, utf8 } from '../core/bytes.ts'
import type { TrustBundle } from '../core/identity.ts'
import { canonicalJson } from '../core/json.ts'
import type { SpiffeId, TrustDomain } from '../core/spiffe.ts'

/** Time in which a token can be redeemed, in milliseconds. */
export const tokenMs: number = 10 * 60_000

/** What a token says to whoever holds it. */
export interface JoinToken {
  readonly secret: Uint8Array
  /** SHA-256 of a root and its trust domain, lower-case hex. Others come and go in the bundle while a token is out. */
  readonly rootDigest: string
}

/** What is kept of a token: never its secret. */
export interface HeldToken {
  /** SHA-256 of the secret, lower-case hex. */
  readonly digest: string
  readonly id: SpiffeId
  readonly expiresAtMs: number
}

/** Tokens that were given out and not redeemed yet. */
export interface TokenStore {
  /** Rejects with `unavailable` when too many are outstanding. Those that have expired make room. */
  put(token: HeldToken, nowMs: number): Promise<void>
  /** Takes a token out: of any number of calls, at once or after a crash, one gets it. */
  take(digest: string): Promise<HeldToken | undefined>
}

/** `writ1.<secret: 43 characters of base64url>.<digest: 64 hex digits>` */
export function formatToken({ secret, rootDigest }: JoinToken): string {
  return `writ1.${toBase64Url(secret)}.${rootDigest}`
}

export function parseToken(text: string): JoinToken | undefined {
  const match = /^writ1\.([A-Za-z0-9_-]{43})\.([0-9a-f]{64})$/.exec(text)
  const secret = match && fromBase64Url(match[1]!)
  return secret?.length === 32 ? { secret, rootDigest: match![2]! } : undefined
}

export const secretDigest = (secret: Uint8Array): string => toHex(sha256(secret))

/** SHA-256 over the canonical JSON of a trust domain's name and one root of it, lower-case hex. */
export function rootDigest(trustDomain: TrustDomain, root: Uint8Array): string {
  return toHex(sha256(utf8(canonicalJson({ roots: [toBase64(root)], trust_domain: trustDomain }))))
}

/** The root of a bundle that a token promises, whichever of them it is. */
export const promisedRoot = (
  { trustDomain, roots }: Pick<TrustBundle, 'trustDomain' | 'roots'>,
  digest: string,
): Uint8Array | undefined => roots.find((root) => rootDigest(trustDomain, root) === digest)
