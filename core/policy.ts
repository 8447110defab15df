/** Policies as the rest of the system names them; how one is evaluated is engine/'s business. */

import type { TokenUse } from './token.ts'

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

/** One version of data that is fetched beside the rules. `name` is that of its PolicyData document. */
export interface PolicyDataVersion {
  readonly name: string
  /** The first 16 digits of `sha256`. */
  readonly revision: string
  /** Digest of its bytes as they were fetched, lower-case hex. */
  readonly sha256: string
}

/** Data that one bundle's policy reads, and that is no part of the bundle. */
export interface PolicyDataUse {
  readonly name: string
  readonly bundle: string
  /** Place below `data`: `bank/roles`. */
  readonly path: string
  /** Age after which nobody passes, in milliseconds. Default none. */
  readonly maxAgeMs?: number
  /** Left out while there is none yet: then nobody passes either. */
  readonly version?: Omit<PolicyDataVersion, 'name'>
}

/** A version that decided, and how long ago it was last known to be the newest, in seconds. */
export interface AgedData extends PolicyDataVersion {
  readonly ageS?: number
}

/** Steps to one member of a policy's input, with all that is below it; `[]` is the whole input. */
export type InputPath = readonly string[]

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
  /**
   * What becomes of a request that the policy could not judge. `refuse`, the default, answers 503. `pass` lets it
   * through as `fault_passed`, recorded with the fault that was passed over.
   */
  readonly onFault?: 'refuse' | 'pass'
  /** How much of a body is read before the request is judged, in bytes. Default 0: the policy sees no body. */
  readonly bodyBytes?: number
  /** Members below `parsed_body` that the record keeps. Default none. */
  readonly recordBody?: readonly InputPath[]
  /** Whose tokens are taken, and judged before the policy is asked. Default nobody's: it sees no token. */
  readonly tokens?: TokenUse
  /** Claims of a token that the record keeps. Default none. */
  readonly recordClaims?: readonly InputPath[]
  /** Fields that records hold as salted digests: `header x-user`, `claim sub`, `path`. Default none. */
  readonly personal?: readonly string[]
  /** The field that says whose personal data it is. Default nobody's: the day's. */
  readonly subject?: string
  /** Whether a refused caller who proved a name reads the policy's reasons. Default false: they are for the record. */
  readonly explain?: boolean
  /** Another policy that is tried out beside this one. Default none. */
  readonly trial?: PolicyTrial
  /** Whom the policy may ask by `http.send`. Default nobody. */
  readonly http?: HttpAllowance
}

/** What records hold as digests, and whose it is. */
export type Sealing = Pick<PolicyUse, 'personal' | 'subject'>

/** Whom a policy may ask while it judges. */
export interface HttpAllowance {
  /** Beginnings of URLs: scheme, host and port are the same, and the path begins with whole steps. */
  readonly allow: readonly string[]
  /** Time for all requests of one decision, in milliseconds. Default 2000. */
  readonly timeoutMs: number
  /** Longest answer, in bytes. Default 64 KiB. */
  readonly maxBytes: number
  /** Whether a name may stand for an address of a private network. Default false. */
  readonly privateAddresses: boolean
}

/** A policy on trial: asked beside the one in force, or in its place for some callers. */
export interface PolicyTrial {
  /** Of the binding that has it. With a caller's id it says on which side of a canary the caller is. */
  readonly name: string
  /** `shadow` changes no answer; `canary` decides for its share of the callers. */
  readonly mode: 'shadow' | 'canary'
  /** Name of the bundle on trial. */
  readonly bundle: string
  readonly entrypoint: string
  /** Share of the requests that a shadow is asked about, or of the callers that a canary decides for, 0 to 100. */
  readonly percent: number
  /**
   * Of a canary: how many more of its decisions may be refusals than of those made by the policy in force, in
   * percentage points, before it takes itself back. Default 5.
   */
  readonly maxRise?: number
  /** Of a canary: decisions on either side before the two are compared. Default 100. */
  readonly minDecisions?: number
  /** Of a canary: time over which they are compared, in milliseconds. Default 300 000. */
  readonly windowMs?: number
}

/** How a canary did when it took itself back: decisions and refusals of its own, and of the policy in force beside it. */
export interface TrialNumbers {
  readonly asked: number
  readonly refused: number
  readonly in_force_asked: number
  readonly in_force_refused: number
}
