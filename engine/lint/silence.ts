/**
 * `# writ: allow RULE` on a line, or in the comment right above it, silences a rule there. Data in JSON has no comments:
 * `# writ: allow RULE in data.json` in any Rego file of the policy speaks for that file.
 */

import { type Finding, finding, isLintRule, lintRules } from './finding.ts'
import type { Module } from './module.ts'

interface Allowed {
  readonly rules: readonly string[]
  readonly file: string
  /** Undefined where it is for the whole file. */
  readonly row: number | undefined
}

export function silenced(findings: readonly Finding[], modules: readonly Module[]): readonly Finding[] {
  const allowed = modules.flatMap(allowedIn)
  const isSilent = ({ rule, place }: Finding): boolean =>
    allowed.some(
      ({ rules, file, row }) => rules.includes(rule) && file === place.file && (row === undefined || row === place.row),
    )
  return [...findings.filter((one) => !isSilent(one)), ...modules.flatMap(unknownIn)]
}

const pattern = /^\s*writ:\s*allow\s+([\w-]+(?:\s*,\s*[\w-]+)*)(?:\s+in\s+(\S+))?\s*$/

function allowedIn({ file, comments }: Module): readonly Allowed[] {
  const rows = new Set(comments.map(({ row }) => row))
  return comments.flatMap(({ row, text }): readonly Allowed[] => {
    const match = pattern.exec(text)
    if (!match) return []
    const rules = match[1]!.split(/\s*,\s*/)
    if (match[2] !== undefined) return [{ rules, file: match[2], row: undefined }]
    let below = row + 1
    while (rows.has(below)) below++
    return [
      { rules, file, row },
      { rules, file, row: below },
    ]
  })
}

function unknownIn({ file, comments }: Module): readonly Finding[] {
  return comments.flatMap(({ row, text }) => {
    const rules = pattern.exec(text)?.[1]?.split(/\s*,\s*/) ?? []
    const unknown = rules.filter((rule) => !isLintRule(rule))
    return unknown.map((rule) =>
      finding(
        'silenced-nothing',
        { file, row, column: 1 },
        `there is no rule ${rule}`,
        `the rules are ${Object.keys(lintRules).join(', ')}`,
      ),
    )
  })
}
