/** What is gathered, made ready once: the tallies of all checks, who is in scope, and which members are read at all. */

import type { CheckDefinition, ComplianceScope, TallyRule } from '../../../core/compliance.ts'
import { WritError } from '../../../core/fault.ts'
import { canonicalJson, type Json } from '../../../core/json.ts'
import type { Declared } from '../files/declared.ts'
import { reading, testOf } from './conditions.ts'
import { factOf } from './facts/index.ts'
import { type Reads, readsOf } from './reads.ts'
import { scopeTest } from './scope.ts'
import type { View } from './view.ts'

/** Of what parts keep; another one is gathered again. */
const gatherVersion = 2

export interface GatherSettings {
  readonly checks: readonly CheckDefinition[]
  readonly declared: Declared
  readonly scope: ComplianceScope
}

/** One tally of one check. */
export interface Counting {
  readonly check: string
  readonly name: string
  readonly number: number
  readonly kind: string
  readonly test: (view: View) => boolean
  readonly by: (view: View) => Json | undefined
}

export interface Plan {
  readonly tallies: readonly Counting[]
  readonly byKind: ReadonlyMap<string, readonly Counting[]>
  /** Names of facts, each once. */
  readonly facts: readonly string[]
  readonly declared: Declared
  readonly inScope: (id: string, service?: string) => boolean
  readonly reads: Reads
  /** All that decides what is gathered of a part, but for the period: what parts keep is bound to it. */
  readonly key: string
}

/** Parameters of a check: those that the declared file has, else its own. */
export function parametersOf(check: CheckDefinition, declared: Declared): Readonly<Record<string, number>> {
  const given = declared.parameters[check.id] ?? {}
  const unknown = Object.keys(given).find((name) => check.parameters[name] === undefined)
  if (unknown !== undefined) {
    throw new WritError('config_invalid', `parameters: ${check.id} has no parameter ${unknown}`, {
      cure: `it has ${Object.keys(check.parameters).join(', ') || 'none'}`,
    })
  }
  return Object.fromEntries(Object.entries(check.parameters).map(([name, { value }]) => [name, given[name] ?? value]))
}

export function planOf({ checks, declared, scope }: GatherSettings): Plan {
  const tallies: Counting[] = []
  const rules: { readonly rule: TallyRule; readonly parameters: Readonly<Record<string, number>> }[] = []
  const byKind = new Map<string, Counting[]>()
  for (const check of checks) {
    const parameters = parametersOf(check, declared)
    for (const [name, rule] of Object.entries(check.tallies)) {
      const by = reading(rule.by ?? (rule.kind === 'decision' ? '@edge' : 'producer'))
      const test = testOf(rule, parameters, `check ${check.id}`)
      const counting = { check: check.id, name, number: tallies.length, kind: rule.kind, test, by }
      tallies.push(counting)
      byKind.set(rule.kind, [...(byKind.get(rule.kind) ?? []), counting])
      const used = Object.entries(parameters).filter(([one]) => JSON.stringify(rule).includes(`"$${one}"`))
      rules.push({ rule, parameters: Object.fromEntries(used) })
    }
  }
  const facts = [...new Set(checks.flatMap((check) => check.facts))].filter((name) => factOf(name))
  const { zones, flows, readers, personal } = declared
  return {
    ...{ tallies, byKind, facts, declared },
    inScope: scopeTest(scope, zones),
    reads: readsOf(
      rules.filter(({ rule }) => rule.kind === 'decision').map(({ rule }) => rule),
      facts.flatMap((name) => factOf(name)!.reads),
      (rule) => rules.find((one) => one.rule === rule)!.parameters,
      declared,
    ),
    key: canonicalJson({
      gatherVersion,
      rules,
      facts,
      scope,
      declared: { zones, flows, readers, personal },
    } as unknown as Json),
  }
}
