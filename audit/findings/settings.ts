/** What is told as a finding, and from which numbers on. */

import type { FindingType } from '../../core/record.ts'

export interface FindingSettings {
  /** Time from the log's first entry in which nothing is told that needs to know what is usual, in milliseconds. Default 7 days. */
  readonly learningMs: number
  /** Denials of one caller in one hour below which there is no spike. Default 20. */
  readonly minDenials: number
  /** How many median absolute deviations above the median a spike is. Default 6. */
  readonly spikeFactor: number
  /** Requests of one caller in one day below which their mix is not judged. Default 500. */
  readonly minMix: number
  /** Jensen-Shannon divergence, in bits from 0 to 1, from which on a mix has moved. Default 0.3. */
  readonly mixDistance: number
  /** Time after which an allowed edge that nobody used is told, in milliseconds. Default 90 days. */
  readonly unusedMs: number
  /** How far a producer's clock may be off, in milliseconds. Default 30 s. */
  readonly clockSkewMs: number
  /** Findings an hour; what is over is counted and told in one. Default 200. */
  readonly maxPerHour: number
  /** What is not told. */
  readonly mute: readonly MuteRule[]
}

/** Every member that is given must fit. A text that ends with `*` fits what begins so. */
export interface MuteRule {
  readonly finding?: FindingType
  readonly subject?: string
  readonly target?: string
}

const day = 24 * 3_600_000

export const findingDefaults: FindingSettings = {
  learningMs: 7 * day,
  minDenials: 20,
  spikeFactor: 6,
  minMix: 500,
  mixDistance: 0.3,
  unusedMs: 90 * day,
  clockSkewMs: 30_000,
  maxPerHour: 200,
  mute: [],
}

/** Those about the log itself are told from its first entry on. */
const needsToLearn: ReadonlySet<FindingType> = new Set<FindingType>([
  'first_seen',
  'denial_spike',
  'mix_moved',
  'unused_grant',
])

export function isQuiet(
  finding: { readonly finding: FindingType; readonly subject: string; readonly target?: string },
  atMs: number,
  beganMs: number,
  settings: FindingSettings,
): boolean {
  if (needsToLearn.has(finding.finding) && atMs < beganMs + settings.learningMs) return true
  return settings.mute.some(
    (rule) =>
      (rule.finding === undefined || rule.finding === finding.finding) &&
      fits(rule.subject, finding.subject) &&
      fits(rule.target, finding.target ?? ''),
  )
}

function fits(rule: string | undefined, text: string): boolean {
  if (rule === undefined) return true
  return rule.endsWith('*') ? text.startsWith(rule.slice(0, -1)) : text === rule
}
