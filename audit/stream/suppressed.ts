/** Counts decisions whose records the spool did not take, so that one record tells of all of them once it does again. */

import type { Verdict } from '../../core/decision.ts'
import type { SuppressedBody } from '../../core/record.ts'
import { formatTime } from '../../core/time.ts'

/** What no record tells of yet. A counter, mutable because requests drive it. */
export interface Suppressed {
  allow: number
  deny: number
  fault: number
  fromNs: bigint
  untilNs: bigint
  why: string
}

const maxWhy = 500

export const newSuppressed = (): Suppressed => ({ allow: 0, deny: 0, fault: 0, fromNs: 0n, untilNs: 0n, why: '' })

export const isSuppressing = ({ allow, deny, fault }: Suppressed): boolean => allow + deny + fault > 0

export function countSuppressed(suppressed: Suppressed, verdict: Verdict, why: string, atNs: bigint): void {
  if (!isSuppressing(suppressed)) {
    suppressed.fromNs = atNs
    suppressed.why = why.slice(0, maxWhy).toWellFormed()
  }
  suppressed.untilNs = atNs
  suppressed[verdict]++
}

export const suppressedBody = ({ allow, deny, fault, fromNs, untilNs, why }: Suppressed): SuppressedBody => ({
  kind: 'suppressed',
  counts: { allow, deny, fault },
  from: formatTime(fromNs),
  until: formatTime(untilNs),
  why,
})

/** Takes away what a record tells of by now; what came meanwhile stays. */
export function toldOf(suppressed: Suppressed, { counts }: Pick<SuppressedBody, 'counts'>, untilNs: bigint): void {
  suppressed.allow -= counts.allow
  suppressed.deny -= counts.deny
  suppressed.fault -= counts.fault
  suppressed.fromNs = untilNs
}
