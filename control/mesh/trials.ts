/** Policies on trial, as bindings name them: a shadow beside the policy in force, or a canary in its place for some. */

import { z } from 'zod'
import type { PolicyTrial } from '../../core/policy.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { bundleName, duration, durationMs, entrypoint } from './words.ts'

export interface ShadowSpec {
  readonly bundle: string
  readonly entrypoint?: string
  readonly percent?: number
}

export interface CanarySpec {
  readonly bundle: string
  readonly entrypoint?: string
  readonly percent: number
  readonly maxRise?: number
  readonly minDecisions?: number
  readonly window?: string
}

/** What a binding has of a trial. */
interface Trying {
  readonly bundle: string
  readonly entrypoint: string
  readonly shadow?: ShadowSpec
  readonly canary?: CanarySpec
}

const candidate = {
  bundle: bundleName.describe('Name of the bundle on trial.'),
  entrypoint: entrypoint.describe('Default the one of the policy in force.').exactOptional(),
}

export const shadowSpec: z.ZodType<ShadowSpec> = z
  .strictObject({
    ...candidate,
    percent: z
      .number()
      .min(0.01)
      .max(100)
      .describe('Share of the requests that it is asked about. Default 100.')
      .exactOptional(),
  })
  .describe('A policy that is asked beside the one in force, after the answer: it changes none.')

export const canarySpec: z.ZodType<CanarySpec> = z
  .strictObject({
    ...candidate,
    percent: z
      .number()
      .min(0.01)
      .max(99)
      .describe('Share of the callers that it decides for; the others are what it is compared with.'),
    maxRise: z
      .int()
      .min(0)
      .max(100)
      .describe(
        'It takes itself back where its share of refusals is more than this above that of the policy in force, in percentage points. Default 5.',
      )
      .exactOptional(),
    minDecisions: z
      .int()
      .min(1)
      .max(1_000_000)
      .describe('Decisions on either side before the two are compared. Default 100.')
      .exactOptional(),
    window: duration.describe('Time over which they are compared, 1s to 24h. Default 5m.').exactOptional(),
  })
  .describe(
    'A policy that decides in place of the one in force, for a share of the callers, until it refuses too many.',
  )

const day = 24 * 60 * 60_000

export function trialOf({ name, spec }: Pick<Placed<Trying>, 'name' | 'spec'>): PolicyTrial | undefined {
  const { shadow, canary } = spec
  if (shadow) {
    const { bundle, percent = 100 } = shadow
    return { name, mode: 'shadow', bundle, entrypoint: shadow.entrypoint ?? spec.entrypoint, percent }
  }
  if (!canary) return undefined
  const { window, ...given } = canary
  return {
    name,
    mode: 'canary',
    ...given,
    entrypoint: canary.entrypoint ?? spec.entrypoint,
    ...(window === undefined ? {} : { windowMs: durationMs(window) }),
  }
}

export function checkTrial(binding: Placed<Trying>): Problem[] {
  const { shadow, canary, bundle, entrypoint: rule } = binding.spec
  const problems: Problem[] = []
  const add = (path: Path, problem: string, cure: string): void => {
    problems.push(problemAt(binding, path, problem, cure))
  }
  if (shadow && canary) {
    add(['spec', 'canary'], 'is a second trial of one binding', 'try one after the other: the shadow first')
  }
  for (const [mode, trial] of [
    ['shadow', shadow],
    ['canary', canary],
  ] as const) {
    if (trial?.bundle === bundle && (trial.entrypoint ?? rule) === rule) {
      add(['spec', mode, 'bundle'], 'is the policy in force itself', 'name the bundle, or the rule, that is on trial')
    }
  }
  const windowMs = canary?.window === undefined ? day : durationMs(canary.window)
  if (windowMs < 1000 || windowMs > day) {
    add(['spec', 'canary', 'window'], `${canary?.window} is not from 1s to 24h`, 'give a time within')
  }
  return problems
}
