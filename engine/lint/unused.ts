/** Rules and functions to which no entry point leads. */

import { type Finding, finding } from './finding.ts'
import { entryGroups, type Group, type LintPolicy, reached } from './policy.ts'

export function findUnused(policy: LintPolicy): readonly Finding[] {
  if (policy.entrypoints.length === 0) return []
  const used = reached(policy, entryGroups(policy))
  const tested = reached(policy, testGroups(policy))
  return policy.groups.flatMap((group) => {
    const placed = group.rules.find(({ module }) => !module.isTest)
    if (!placed || used.has(group)) return []
    const what = placed.rule.args.length > 0 ? 'function' : 'rule'
    const note = tested.has(group) ? '; its tests alone ask it' : ''
    return [
      finding(
        'unused-rule',
        placed.rule.place,
        `no entry point leads to the ${what} ${placed.rule.name}${note}`,
        'take it away, or say `entrypoint: true` in its metadata',
      ),
    ]
  })
}

export const testGroups = (policy: LintPolicy): readonly Group[] =>
  policy.groups.filter(({ rules }) => rules.some(({ rule }) => /^test_/.test(rule.path.at(-1) ?? '')))
