/** What the page shows, as the API gives it. */

export interface ConsoleData {
  readonly trustDomain: string
  readonly cluster: string
  /** RFC 3339. */
  readonly at: string
  readonly counts: { readonly allow: number; readonly deny: number; readonly fault: number }
  readonly checkpoint:
    | { readonly origin: string; readonly size: number; readonly root: string; readonly at: string }
    | undefined
  readonly edges: readonly ConsoleEdge[]
  readonly latest: readonly ConsoleDecision[]
}

export interface ConsoleEdge {
  readonly caller: string
  readonly target: string
  /** Decisions per second over the window. */
  readonly rate: number
  readonly allowed: number
  readonly denied: number
  readonly faults: number
  /** Milliseconds; undefined where no outcome is known. */
  readonly p50Ms: number | undefined
  readonly p95Ms: number | undefined
}

export interface ConsoleDecision {
  readonly id: string
  readonly index: number
  readonly at: string
  readonly caller: string
  readonly target: string
  readonly method: string
  readonly path: string
  readonly verdict: string
  readonly code: string
  readonly reasons: readonly string[]
  readonly status: number | undefined
  readonly covered: boolean
}

/** One record with its proof. */
export interface ConsoleRecord {
  readonly id: string
  readonly index: number
  /** The leaf, pretty-printed. */
  readonly leaf: string
  /** RFC 6962 leaf hash, hex. */
  readonly hash: string
  /** c2sp.org/tlog-proof text, undefined while no checkpoint covers the record. */
  readonly proof: string | undefined
}

/** How the compliance checks stand, and how they came to. */
export interface ConsoleChecks {
  /** Time between two looks, in milliseconds; undefined where there are none. */
  readonly everyMs: number | undefined
  readonly lookedAt: string | undefined
  readonly checks: readonly {
    readonly check: string
    readonly title: string
    /** Newest first. */
    readonly turns: readonly {
      readonly id: string | undefined
      readonly at: string
      readonly was: string
      readonly is: string
      readonly accepted: boolean
      readonly finding: string
      readonly records: readonly string[]
      readonly checkpoints: readonly { readonly size: number }[]
    }[]
  }[]
}
