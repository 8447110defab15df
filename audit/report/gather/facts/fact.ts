/** What a gathering of ours looks like to whoever drives it. */

import type { LeafPlace, Tally } from '../../../../core/compliance.ts'
import type { Json } from '../../../../core/json.ts'
import type { Verification } from '../../../verify/verify.ts'
import type { Declared } from '../../files/declared.ts'
import type { Reproved } from '../../reprove.ts'
import type { Drawable, Held } from '../held.ts'
import type { View } from '../view.ts'

/** A record, or several that are alike in all that anybody reads. */
export interface Seen {
  readonly view: View
  /** The first of them. */
  readonly at: LeafPlace
  readonly count: number
  /** The one that says the latest time, in milliseconds since 1970. */
  readonly lastMs: number
  readonly lastAt: LeafPlace
  /** In the time and the scope of the report; what is before its end but not in it is shown too. */
  readonly inside: boolean
}

/** What lay in a part of the log of one run of a producer. */
export interface Run {
  readonly epoch: string
  readonly producer: string
  readonly lastMs: number
  /** It decided something in the time and the scope. */
  readonly decided: boolean
}

export interface Ending {
  readonly verification: Verification
  readonly reproved: Reproved
  readonly declared: Declared
  readonly fromMs: number
  readonly toMs: number
  readonly parameters: Readonly<Record<string, number>>
  /** Times that somebody outside put to checkpoints; milliseconds since 1970. */
  readonly anchors: readonly {
    readonly kind: 'timestamp' | 'cosignature'
    readonly shard: number
    readonly atMs: number
  }[]
}

export interface FactEnd {
  readonly values: { readonly [name: string]: Json }
  /** To be sampled, and whom they are about, by the name that a rule says. */
  readonly tallies: Readonly<Record<string, Drawable | Tally>>
}

export interface Fact {
  /** Of all that is before the end of the time. */
  readonly always?: Readonly<Record<string, Held>>
  /** Of what is in the time and the scope. */
  readonly inside?: Readonly<Record<string, Held>>
  /** Members of decisions that `take` reads, as tallies name them. What else they have tells it nothing. */
  readonly reads: readonly string[]
  /** Records in any order. */
  take(seen: Seen): void
  /** Each run of a part, when all of the part was taken. */
  run?(run: Run): void
  /** Each record in the order of the log, with its producer. */
  pass?(producer: string, atMs: number, at: LeafPlace, inside: boolean): void
  finish(ending: Ending): FactEnd
}

/** More than this of anything is not held; the numbers then say that they are not whole. */
export const maxHeld = 500_000
/** Of runs, listeners, edges and the like. */
export const maxFew = 200_000
