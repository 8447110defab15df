/** Policies as the rest of the system names them; how one is evaluated is engine/'s business. */

/** What made a decision. `sha256` is the digest of the bundle's bytes (the .tar.gz), lower-case hex. */
export interface PolicyRef {
  readonly bundle: string
  readonly revision: string
  readonly sha256: string
}

/** A bundle as it travels: an OPA bundle (gzip tar with manifest, data and policy.wasm). */
export interface PolicyBundle {
  readonly ref: PolicyRef
  readonly bytes: Uint8Array
}

/** Which rule a listener asks, and which facts of a request its records keep beside method and path. */
export interface PolicyUse {
  /** Name of the bundle. */
  readonly bundle: string
  /** Path of the rule as OPA writes entry points: `writ/authz/result`. */
  readonly entrypoint: string
  /** Lower-case names of request headers that the record keeps. Default none. */
  readonly recordHeaders: readonly string[]
  /** Whether the record keeps the query. Default false: queries carry secrets. */
  readonly recordQuery: boolean
}
