/** Tokens that requests bring beside what their caller proved: whose are taken, and what one of them says. */

import { type Exact, exactText, hasDecimals, projectedExact, roundedJson } from './exact.ts'
import { pickMembers } from './input-body.ts'
import type { Parts } from './input-path.ts'
import type { Json } from './json.ts'
import type { InputPath } from './policy.ts'

/** Where a token stands in a request. Names of headers are lower case. */
export type TokenPlace =
  | { readonly kind: 'header'; readonly name: string; readonly prefix: string }
  | { readonly kind: 'query'; readonly name: string }
  | { readonly kind: 'cookie'; readonly name: string }

/** A public key that may sign tokens: the members of its JWK (RFC 7517) that count. */
export interface TokenKey {
  readonly kty: 'RSA' | 'EC' | 'OKP'
  readonly kid?: string
  /** The only algorithm it is for, where it says one. */
  readonly alg?: string
  readonly crv?: string
  readonly x?: string
  readonly y?: string
  readonly n?: string
  readonly e?: string
}

/** Where an issuer's keys are: known, or asked for. */
export type TokenKeys =
  | { readonly kind: 'known'; readonly keys: readonly TokenKey[] }
  | {
      readonly kind: 'url'
      readonly url: string
      /** Age at which they are asked for again, in milliseconds. Default 300 000. */
      readonly refreshMs: number
      /** Whether the URL's name may stand for an address of a private network. Default false. */
      readonly privateAddresses: boolean
    }

/** An issuer whose tokens a binding takes. */
export interface TokenProvider {
  readonly name: string
  /** What `iss` must be. */
  readonly issuer: string
  /** One of them must be in `aud`. */
  readonly audiences: readonly string[]
  readonly keys: TokenKeys
  readonly from: readonly TokenPlace[]
  /** How far the issuer's clock may be from ours, in milliseconds. Default 60 000. */
  readonly clockSkewMs: number
  /** Algorithms that may have signed it; none of them symmetric. */
  readonly algorithms: readonly string[]
  /** Whether a token must name the caller's own certificate (RFC 8705 section 3). Default false. */
  readonly certificateBound: boolean
}

export interface TokenUse {
  readonly providers: readonly TokenProvider[]
  /** Whether the service gets the token too. Default true. */
  readonly forward: boolean
}

type Claims = { readonly [name: string]: Exact | undefined }

/** What a token says that was found good. */
export interface TokenFacts {
  /** Name of the provider whose keys vouch for it. */
  readonly provider: string
  readonly issuer: string
  readonly subject: string | undefined
  readonly audiences: readonly string[]
  /** All of its payload. */
  readonly claims: Claims
  /** Digest of the token, lower-case hex. */
  readonly sha256: string
  /** Where it is taken out of what the service gets. Default it is sent on. */
  readonly strip?: TokenPlace
}

export type TokenRefusal =
  | 'token_invalid' // Not whole, not signed by a key of its issuer, or for somebody else.
  | 'token_expired' // Past its end or before its start.
  | 'token_ambiguous' // More than one.

/** What became of a request's token; `token_unverifiable` means that no keys of its issuer are known. */
export type Authenticated =
  | { readonly ok: true; readonly token: TokenFacts }
  | { readonly ok: false; readonly code: TokenRefusal | 'token_unverifiable'; readonly detail: string }

/** `input.writ.token`. */
export const judgedToken = (token: TokenFacts): Json => roundedJson(inputOf(token))

/** The same as JSON text, of what is read of it, in which every number has the value it was written with. */
export const tokenText = (token: TokenFacts, parts: Parts): string => exactText(projectedExact(inputOf(token), parts))

function inputOf({ audiences, claims, issuer, provider, subject }: TokenFacts): Exact {
  return { audiences, claims, issuer, provider, ...(subject === undefined ? undefined : { subject }) }
}

/** Issuer and digest always; of the claims only those that are named, as of a body's members, for they may be personal. */
export function recordedToken({ claims, issuer, provider, sha256 }: TokenFacts, paths: readonly InputPath[]): Json {
  const { kept, leftOut } = pickMembers(claims, paths)
  return {
    ...(kept !== undefined && !hasDecimals(kept) ? { claims: roundedJson(kept) } : undefined),
    ...(leftOut.length === 0 ? undefined : { claims_left_out: leftOut }),
    ...(kept !== undefined && hasDecimals(kept) ? { claims_text: exactText(kept) } : undefined),
    issuer,
    provider,
    sha256,
  }
}

/** As a token may write its `aud`: one, or a list of them; undefined where it is neither. */
export function audiencesOf(aud: Exact | undefined): readonly string[] | undefined {
  if (typeof aud === 'string') return [aud]
  return Array.isArray(aud) && aud.every((one) => typeof one === 'string') ? (aud as readonly string[]) : undefined
}
