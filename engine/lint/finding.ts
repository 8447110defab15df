/** What the linter may say: a closed list of rules, each with the level that it speaks at. */

import type { Place } from './problems.ts'

/** An error decides wrongly, a warning may, a note is for whoever wants to know. */
export type Level = 'error' | 'warning' | 'note'

export type LintRule =
  | 'allow-unidentified' // Allows somebody of whom nothing was proven.
  | 'default-allow' // Allows whatever no rule denies.
  | 'fails-open' // Allows where a fact is missing.
  | 'no-entrypoint' // No proxy can ask it without naming a rule by hand.
  | 'outside-roots' // A package that the manifest's roots leave out.
  | 'rejected' // OPA does not compile it.
  | 'shadowed-name' // A name that hides another one.
  | 'silenced-nothing' // A comment that allows a rule that there is not.
  | 'unstable' // The same request may get another answer.
  | 'untested-entrypoint' // No test asks it.
  | 'unused-import'
  | 'unused-rule' // No entry point leads to it.
  | 'unused-variable'
  | 'wildcard' // A grant to everybody, or of everything.

export const lintRules: Readonly<Record<LintRule, Level>> = {
  'allow-unidentified': 'warning',
  'default-allow': 'error',
  'fails-open': 'warning',
  'no-entrypoint': 'warning',
  'outside-roots': 'error',
  rejected: 'error',
  'shadowed-name': 'warning',
  'silenced-nothing': 'warning',
  unstable: 'warning',
  'untested-entrypoint': 'warning',
  'unused-import': 'warning',
  'unused-rule': 'warning',
  'unused-variable': 'warning',
  wildcard: 'warning',
}

export interface Finding {
  readonly rule: LintRule
  readonly level: Level
  readonly place: Place
  readonly message: string
  readonly cure: string
}

export const finding = (
  rule: LintRule,
  place: Place,
  message: string,
  cure: string,
  level: Level = lintRules[rule],
): Finding => ({ rule, level, place, message, cure })

export const isLintRule = (text: string): text is LintRule => Object.hasOwn(lintRules, text)
