/** Ways to allow that hold by what is missing: `allow if not deny`, where `deny` is undefined for want of a fact. */

import type { Json } from '../../core/json.ts'
import { groupsNamed, waysToAllow } from './allowing.ts'
import { type Finding, finding } from './finding.ts'
import { objectOf } from './module.ts'
import type { LintPolicy, Placed } from './policy.ts'
import { asTerm, callsIn } from './terms.ts'

export function findOpen(policy: LintPolicy): readonly Finding[] {
  return waysToAllow(policy).flatMap((way) => {
    if (way.isDefault) return [defaultAllow(way)]
    const { expressions, place, rule } = way
    if (expressions.length === 0 || !expressions.every((one) => holdsByAbsence(policy, one, way))) return []
    return [
      finding(
        'fails-open',
        place,
        `${rule.name} holds here where nothing is known: what it negates is undefined for a request that lacks a fact`,
        'let it also say what must be there, such as input.source_principal, or what is allowed instead of what is not',
      ),
    ]
  })
}

const defaultAllow = ({ place, rule }: ReturnType<typeof waysToAllow>[number]): Finding =>
  finding('default-allow', place, `${rule.name} allows whatever no rule is about`, 'make its default false')

/** A negated rule, or a set of refusals that is empty. */
function holdsByAbsence(policy: LintPolicy, expression: Json, placed: Placed): boolean {
  const named = groupsNamed(policy, expression, placed).length > 0
  if (!named) return false
  if (objectOf(expression)['negated'] === true) return true
  const calls = callsIn(expression)
  const compared = calls.find(({ name }) => name === 'equal' || name === 'eq')
  const zero = compared?.args.some((arg) => asTerm(arg)?.type === 'number' && asTerm(arg)?.value === 0)
  return zero === true && calls.some(({ name }) => name === 'count')
}
