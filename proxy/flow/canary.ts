/** Who is judged by a policy on trial, and when it takes itself back. The state is a value, and time moves it. */

import type { PolicyTrial, TrialNumbers } from '../../core/policy.ts'
import { hash32 } from '../balance/hash.ts'

/** What stands in a trial where it says nothing itself; see core/policy.ts for units and effects. */
export const canaryDefaults = { maxRise: 5, minDecisions: 100, windowMs: 300_000 } as const

export interface CanaryRules extends Pick<PolicyTrial, 'maxRise' | 'minDecisions' | 'windowMs'> {
  /** Largest share of refusals, whatever the other side does, in percent. Default any. */
  readonly max?: number
}

/** Which of the two judged a request. */
export type Side = 'candidate' | 'inForce'

export interface Canary {
  /** The window in slices, the oldest first, so that old decisions leave it a slice at a time. */
  readonly slices: readonly Slice[]
  /** The numbers it was taken back by; undefined as long as it holds. It never comes back by itself. */
  readonly rolledBack: TrialNumbers | undefined
}

interface Slice extends TrialNumbers {
  readonly fromMs: number
}

/** Slices of a window. */
const slicesPerWindow = 10

export const newCanary: Canary = { slices: [], rolledBack: undefined }

const none: TrialNumbers = { asked: 0, refused: 0, in_force_asked: 0, in_force_refused: 0 }

/** One more decision, at a time that does not go back. A fault counts as a refusal: it is what the caller would get. */
export function counted(canary: Canary, side: Side, refused: boolean, nowMs: number, rules: CanaryRules): Canary {
  if (canary.rolledBack) return canary
  const { windowMs = canaryDefaults.windowMs } = rules
  const lengthMs = windowMs / slicesPerWindow
  const recent = canary.slices.filter(({ fromMs }) => fromMs + lengthMs > nowMs - windowMs)
  const last = recent.at(-1)
  const open = last && nowMs < last.fromMs + lengthMs
  const slice = added(open ? last : { fromMs: nowMs, ...none }, side, refused ? 1 : 0)
  const slices = [...(open ? recent.slice(0, -1) : recent), slice]
  const numbers = sumOf(slices)
  return { slices, rolledBack: isWorse(numbers, rules) ? numbers : undefined }
}

const added = (slice: Slice, side: Side, refusals: number): Slice =>
  side === 'candidate'
    ? { ...slice, asked: slice.asked + 1, refused: slice.refused + refusals }
    : {
        ...slice,
        in_force_asked: slice.in_force_asked + 1,
        in_force_refused: slice.in_force_refused + refusals,
      }

/** Decisions of the window as of the last one that was counted. */
export const numbersOf = (canary: Canary): TrialNumbers => canary.rolledBack ?? sumOf(canary.slices)

const sumOf = (slices: readonly Slice[]): TrialNumbers =>
  slices.reduce<TrialNumbers>(
    (sum, slice) => ({
      asked: sum.asked + slice.asked,
      refused: sum.refused + slice.refused,
      in_force_asked: sum.in_force_asked + slice.in_force_asked,
      in_force_refused: sum.in_force_refused + slice.in_force_refused,
    }),
    none,
  )

/** Whether its share of refusals is above `max`, or more than `maxRise` percentage points above the other's. */
function isWorse(numbers: TrialNumbers, rules: CanaryRules): boolean {
  const { maxRise = canaryDefaults.maxRise, minDecisions = canaryDefaults.minDecisions, max = 100 } = rules
  const { asked, refused, in_force_asked: others, in_force_refused: othersRefused } = numbers
  // Without division, which would round at the very edge.
  if (asked >= minDecisions && refused * 100 > max * asked) return true
  if (asked === 0 || others === 0 || asked < minDecisions || others < minDecisions) return false
  return (refused * others - othersRefused * asked) * 100 > maxRise * asked * others
}

/** Whether the canary decides for this caller: the same answer in every proxy, and after every restart. */
export const decidesFor = ({ name, percent }: Pick<PolicyTrial, 'name' | 'percent'>, caller: string): boolean =>
  placeOf(`${name}\0${caller}`) < percent

/** A number from 0 up to 100, spread evenly over texts. */
export const placeOf = (text: string): number => (hash32(text) / 2 ** 32) * 100
