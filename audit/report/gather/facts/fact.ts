/** What a gathering of ours looks like to whoever drives it. */

import type { LeafPlace, Tally } from '../../../../core/compliance.ts'
import type { Json } from '../../../../core/json.ts'
import type { Verification } from '../../../verify/verify.ts'
import type { Declared } from '../../files/declared.ts'
import type { Reproved } from '../../reprove.ts'
import type { DrawKey } from '../count.ts'
import type { View } from '../view.ts'

export interface Seen {
  readonly view: View
  readonly at: LeafPlace
  readonly key: DrawKey
  /** In the time and the scope of the report; what is before its end but not in it is shown too. */
  readonly inside: boolean
}

export interface Ending {
  readonly verification: Verification
  readonly reproved: Reproved
  readonly declared: Declared
  readonly fromMs: number
  readonly toMs: number
  readonly parameters: Readonly<Record<string, number>>
  /** Newest time that somebody outside put to a checkpoint, and what it is of; milliseconds since 1970. */
  readonly anchors: readonly {
    readonly kind: 'timestamp' | 'cosignature'
    readonly shard: number
    readonly atMs: number
  }[]
}

export interface FactEnd {
  readonly values: { readonly [name: string]: Json }
  /** To be sampled, and whom they are about, by the name that a rule says. */
  readonly tallies: Readonly<Record<string, Tally>>
}

export interface Fact {
  take(seen: Seen): void
  finish(ending: Ending): FactEnd
}

/** More than this of anything is not held; the numbers then say that they are not whole. */
export const maxHeld = 1_000_000
