/** Whose signature a bundle must have: the words of it, without the cryptography. */

/** What OPA signs with. `HS…` is a shared secret: whoever can verify can also sign. */
// biome-ignore format: by family
export const signatureAlgorithms = [
  'ES256', 'ES384', 'ES512',
  'PS256', 'PS384', 'PS512',
  'RS256', 'RS384', 'RS512',
  'HS256', 'HS384', 'HS512',
] as const

export type SignatureAlgorithm = (typeof signatureAlgorithms)[number]

export interface VerificationKey {
  /** The only algorithm that it is for, whatever a token says of itself. */
  readonly algorithm: SignatureAlgorithm
  /** A public key as PEM (SPKI); for `HS…` the bytes of the secret. */
  readonly key: string | Uint8Array
  /** The id that tokens name it by. Default: it answers for every id that no other key has. */
  readonly id?: string
}

/** A public key of an issuer, as a JWK (RFC 7517). */
export type IssuerKey = { readonly [member: string]: unknown }

/** Whoever the CI said it was signs, with a key that nobody keeps. */
export interface KeylessVerification {
  /** The `iss` that its identity tokens have. */
  readonly issuer: string
  /** The `sub` that they must have; `*` stands for anything but `/` and `:`. */
  readonly subject: string
  /** The issuer's keys, or the URL where they are. */
  readonly keys: string | { readonly keys: readonly IssuerKey[] }
}

/** Who signed a bundle without a key of their own. */
export interface SignedBy {
  readonly issuer: string
  readonly subject: string
  /** When, in seconds since 1970, by the signer's clock. */
  readonly at: number
}

/** A bundle that is read with this is signed, or refused. */
export interface BundleVerification {
  readonly keys: readonly VerificationKey[]
  /** Id of the key that must have signed. Default: the one that the token names. */
  readonly keyId?: string
  /** What the token's `scope` must be. Default: it has none. */
  readonly scope?: string
  /** In place of keys. Default none. */
  readonly keyless?: KeylessVerification
}
