/** Tokens that requests bring beside what their caller proved: whose a binding takes, and why one is refused. */

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

export type TokenRefusal =
  | 'token_invalid' // Not whole, not signed by a key of its issuer, or for somebody else.
  | 'token_expired' // Past its end or before its start.
  | 'token_ambiguous' // More than one.
