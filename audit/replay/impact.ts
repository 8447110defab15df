/** What a replay found: which decisions would change, grouped by who calls what, and which could not be replayed. */

import type { DecisionCode, Verdict } from '../../core/decision.ts'
import type { PolicyRef } from '../../core/policy.ts'

export interface Impact {
  readonly candidate: PolicyRef
  /** Enforced inbound decisions that the candidate's bundle made; replayed and not replayed. */
  readonly decisions: number
  readonly replayed: number
  /** Replayed, and the verdict is another one. */
  readonly flips: number
  /** By the most frequent; `omitted` counts flips of groups beyond those that are kept. */
  readonly groups: readonly FlipGroup[]
  readonly omitted: number
  readonly unreplayed: readonly Unreplayed[]
  /** Inbound decisions that no candidate of this bundle would have made. */
  readonly passedOver: {
    /** Refused by the proxy before a policy was asked. */
    readonly byProxy: number
    /** Made by policies of other bundles. */
    readonly byOthers: number
    /** Made in shadow, where they changed nothing. */
    readonly shadow: number
  }
  /** Revisions that made the decisions, the most frequent first. */
  readonly revisions: readonly { readonly revision: string; readonly decisions: number }[]
  /** Times of the oldest and the newest of the decisions, RFC 3339; null where there are none. */
  readonly oldest: string | null
  readonly newest: string | null
}

export interface FlipGroup {
  readonly caller: string | null
  readonly target: string
  readonly method: string
  /** Path with `{}` for steps that are values. */
  readonly shape: string
  readonly was: Verdict
  readonly wouldBe: Verdict
  readonly code: DecisionCode
  readonly count: number
  /** The newest first. */
  readonly examples: readonly Example[]
}

export interface Example {
  readonly id: string
  readonly time: string
  /** What the candidate would say. */
  readonly reasons: readonly string[]
}

/**
 * `not_recorded`: the candidate may read a fact that the record leaves out. `world`: it calls builtins whose answers are
 * not in any record. `oversize`: the record holds a digest of its input. `unreadable`: no proxy of ours wrote it so.
 */
export type Obstacle = 'not_recorded' | 'world' | 'oversize' | 'unreadable'

export interface Unreplayed {
  readonly obstacle: Obstacle
  /** Facts, builtins or members: `query`, `header x-role`, `http.send`. */
  readonly what: string
  readonly count: number
  readonly examples: readonly string[]
}
