/** One check: what was measured, against what, with which verdict, and what it leaves open. */

import { type CheckId, type Mapping, mappingsOf } from './catalogue.ts'
import type { Sampled } from './sample.ts'

/** `insufficient-data` is never a pass. */
export type CheckVerdict = 'pass' | 'fail' | 'insufficient-data' | 'not-applicable'

export interface Check {
  readonly id: CheckId
  readonly title: string
  /** What is measured, in one sentence. */
  readonly measures: string
  readonly numerator: { readonly value: number; readonly of: string }
  readonly denominator: { readonly value: number; readonly of: string }
  readonly threshold: string
  readonly verdict: CheckVerdict
  /** Why the verdict is what it is, in one sentence. */
  readonly finding: string
  /** What was left out of the numbers, and how much of it there was. */
  readonly exclusions: readonly string[]
  /** Leaves to look up: those that fail it, else some that it counted. */
  readonly sample: readonly Sampled[]
  readonly notCovered: readonly string[]
  readonly mappings: readonly Mapping[]
}

/** A check's own part; the mapping follows from its id. */
export const check = (own: Omit<Check, 'mappings'>): Check => ({ ...own, mappings: mappingsOf(own.id) })

/** A number with its unit, in digits grouped by three: `1,204 requests`. */
export const amount = (count: number, one: string, many: string = `${one}s`): string =>
  `${grouped(count)} ${count === 1 ? one : many}`

export const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
