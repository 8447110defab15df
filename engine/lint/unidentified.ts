/** Ways to allow that prove nothing of who is calling. A sign and no proof: what a rule reads, it need not compare. */

import type { Json } from '../../core/json.ts'
import { groupsNamed, waysToAllow } from './allowing.ts'
import { type Finding, finding } from './finding.ts'
import { objectOf } from './module.ts'
import type { Group, LintPolicy, Placed } from './policy.ts'
import { callsIn, isFalse, mentionsIn } from './terms.ts'

/** What a proxy has proven of the caller. */
const proven: readonly (readonly string[])[] = [
  ['source_principal'],
  ['attributes', 'source', 'principal'],
  ['writ', 'token'],
]

const isTokenCheck = (name: string): boolean => /^io\.jwt\.(decode_verify|verify_\w+)$/.test(name)

export function findUnidentified(policy: LintPolicy): readonly Finding[] {
  return waysToAllow(policy)
    .filter((way) => !way.isDefault && !proves(policy, way.expressions, way, new Set()))
    .map(({ place, rule }) =>
      finding(
        'allow-unidentified',
        place,
        `${rule.name} can allow here without a proof of who is calling`,
        'let it read input.source_principal, or verify a token; allow the rule where anybody may',
      ),
    )
}

/** One expression that cannot hold unless the caller is known. */
function proves(policy: LintPolicy, expressions: readonly Json[], placed: Placed, within: ReadonlySet<Group>): boolean {
  return expressions.some((expression) => {
    if (objectOf(expression)['negated'] === true) return false
    if (callsIn(expression).some(({ name }) => isTokenCheck(name))) return true
    if (mentionsIn(expression).some((mention) => readsProof(policy, mention, placed))) return true
    return groupsNamed(policy, expression, placed).some((group) => groupProves(policy, group, within))
  })
}

function readsProof(policy: LintPolicy, mention: ReturnType<typeof mentionsIn>[number], placed: Placed): boolean {
  const meaning = policy.meaning(mention, placed.module, placed.rule)
  if (meaning.kind !== 'input') return false
  const { path } = meaning
  return proven.some((fact) => path.every((step, i) => i >= fact.length || step === fact[i]))
}

/** Each way to anything but false proves it. */
function groupProves(policy: LintPolicy, group: Group, within: ReadonlySet<Group>): boolean {
  if (within.has(group)) return false
  const inside = new Set([...within, group])
  const bodies = group.rules.flatMap((placed) =>
    placed.rule.bodies.filter(({ value }) => !isFalse(value)).map((body) => ({ body, placed })),
  )
  return (
    bodies.length > 0 &&
    bodies.every(({ body, placed }) => {
      const value = body.value === undefined ? [] : [{ terms: body.value }]
      return proves(policy, [...body.expressions, ...value], placed, inside)
    })
  )
}
