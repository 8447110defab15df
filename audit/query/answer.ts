/** What a question gets: one row per decision, newest first, with how it ended and how far it is proven. */

import type { Json } from '../../core/json.ts'

export interface DecisionRow {
  /** `epoch-seq`. */
  readonly id: string
  readonly shard: number
  readonly index: number
  /** Of a record that is no decision, and only there. */
  readonly kind?: string
  /** RFC 3339, UTC, microseconds. */
  readonly time: string
  readonly direction: string
  readonly caller: string | null
  readonly target: string | null
  readonly service: string | null
  readonly method: string | null
  readonly path: string | null
  readonly verdict: string
  readonly code: string
  /** False for a shadow policy, whose answer changed nothing. */
  readonly enforced: boolean
  readonly by: string | null
  readonly bundle: string | null
  readonly revision: string | null
  readonly reasons: readonly string[]
  readonly requestId: string | null
  readonly traceId: string | null
  readonly sourceAddress: string | null
  readonly serial: string | null
  /** How it ended; null while unknown. */
  readonly outcome: string | null
  readonly status: number | null
  readonly durationUs: number | null
  readonly upstream: string | null
  /** What was tried in vain before, in order: `127.0.0.1:8443 503`. Null where no row tells: one of before, or no end. */
  readonly attempts: readonly string[] | null
  /** Why it was not tried again, though its rules ask for that. */
  readonly stopped: string | null
  /** A verified head of its producer covers it. */
  readonly attested: boolean
  /** A signed checkpoint covers it. */
  readonly covered: boolean
  /**
   * Of a decision that an OPA sent, and only there. Its row has no verdict, direction or outcome, `caller` is whom the
   * input named and nobody proved, `target` whom the OPA's token is for, `path` the rule asked for, and `time` is when
   * it was kept.
   */
  readonly told?: Told
  /** Fields that the policy made digests, and only where there are some. */
  readonly sealed?: readonly SealedField[]
}

/**
 * Whether a field is shown. `withheld`: a digest alone, for nobody asked for more, or nobody here has what opens it.
 * `erased`: its key was destroyed, and the log says so.
 */
export type FieldState = 'disclosed' | 'withheld' | 'erased'

export interface SealedField {
  /** As the binding names it: `path`, `header x-user`. */
  readonly field: string
  readonly state: FieldState
  /** Where it is `disclosed`, and fits its digest. */
  readonly value?: Json
  /** Where it is `erased`: id of the record that says so. */
  readonly erasedBy?: string
}

/** What an OPA said of a decision. Members are null where it said nothing, or where a record could not hold it. */
export interface Told {
  readonly decisionId: string | null
  /** OPA's own time. */
  readonly at: string | null
  readonly labels: Json
  readonly result: Json
  readonly error: Json
  readonly requestedBy: string | null
  /** Members that the record holds as digests, or as text. */
  readonly keptAs: Json
  /** Why it is no event. */
  readonly malformed: string | null
  /** Another event of the same id came before. */
  readonly repeats: boolean
}

export interface Answer {
  readonly rows: readonly DecisionRow[]
  /** Cursor of the rows that follow; null at the end. */
  readonly next: string | null
  /** Where looking stopped before the page was full: how many records it went through. `next` goes on. */
  readonly looked?: number
}

/** What passed from one caller to one target over a time. */
export interface Edge {
  readonly caller: string | null
  readonly target: string
  readonly allowed: number
  readonly denied: number
  readonly faults: number
  /** Decisions per second over the time asked for. */
  readonly rate: number
  /** Of those whose end is known, in milliseconds; null where none is. */
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  readonly lastAt: string
}

export interface Counts {
  /** Leaves in all shards. */
  readonly records: number
  readonly allowed: number
  readonly denied: number
  readonly faults: number
  readonly callers: number
  readonly targets: number
  /** Numbers missing in gaps that are open. */
  readonly missing: number
  readonly anomalies: number
  readonly checkpoints: readonly {
    readonly shard: number
    readonly size: number
    readonly root: string
    readonly at: string
  }[]
}
