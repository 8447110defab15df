/** The ways in which an entry point comes to allow: which expressions have to hold for each. */

import type { Json } from '../../core/json.ts'
import { listOf, type Module, objectOf, type Rule } from './module.ts'
import { entryGroups, type Group, type LintPolicy, type Placed } from './policy.ts'
import type { Problem } from './problems.ts'
import { asTerm, isFalse, isTrue, mentionsIn, textOf } from './terms.ts'

export interface Way extends Placed {
  /** Of the body that has to hold. */
  readonly place: NonNullable<Problem['place']>
  readonly expressions: readonly Json[]
  readonly isDefault: boolean
}

/** Those of rules that are true or false, and of objects with `allowed` or `allow`, as OPA-Envoy has them. */
export function waysToAllow(policy: LintPolicy): readonly Way[] {
  return entryGroups(policy).flatMap(({ rules }) => rules.flatMap((placed) => waysOf(policy, placed, [], 0)))
}

/** Longest chain of rules that only name one another. */
const maxDepth = 16

function waysOf(policy: LintPolicy, placed: Placed, before: readonly Json[], depth: number): readonly Way[] {
  const { module, rule } = placed
  return rule.bodies.flatMap((body) => {
    const value = allowedIn(body.value)
    if (isFalse(value) || (value === undefined && body.value !== undefined)) return []
    const expressions = [...before, ...body.expressions.filter((one) => !isTrue(objectOf(one)['terms'] ?? null))]
    const group = value === undefined || isTrue(value) ? undefined : ruleNamed(policy, value, module, rule)
    if (group && depth < maxDepth) {
      return group.rules.flatMap((next) => waysOf(policy, next, expressions, depth + 1))
    }
    const all = value === undefined || isTrue(value) ? expressions : [...expressions, { terms: value }]
    return [{ module, rule, place: body.place, expressions: all, isDefault: rule.isDefault }]
  })
}

/** The value that decides; undefined where this is an answer that OPA-Envoy would not allow by. */
function allowedIn(value: Json | undefined): Json | undefined {
  const term = asTerm(value)
  if (term?.type === 'object') {
    const members = listOf(term.value).map((pair) => listOf(pair))
    return members.find(([key]) => ['allowed', 'allow'].includes(textOf(key) ?? ''))?.[1]
  }
  return ['string', 'number', 'null', 'array', 'set'].includes(term?.type ?? '') ? undefined : value
}

/** The one group that a term stands for, where it is a rule and nothing else. */
function ruleNamed(policy: LintPolicy, value: Json, module: Module, rule: Rule): Group | undefined {
  const type = asTerm(value)?.type
  if (type !== 'var' && type !== 'ref') return undefined
  const [mention] = mentionsIn(value)
  const meaning = mention && policy.meaning(mention, module, rule)
  if (meaning?.kind !== 'data' || !meaning.whole) return undefined
  const [group, other] = policy.at(meaning.path)
  return other === undefined && group?.path.length === meaning.path.length ? group : undefined
}

/** Groups that expressions name, with those that these name in turn left out. */
export function groupsNamed(policy: LintPolicy, tree: Json | undefined, { module, rule }: Placed): readonly Group[] {
  return mentionsIn(tree).flatMap((mention) => {
    const meaning = policy.meaning(mention, module, rule)
    return meaning.kind === 'data' ? policy.at(meaning.path) : []
  })
}
