/** Names that hide a rule, an import or a builtin from what stands beside them. */

import { type Finding, finding } from './finding.ts'
import type { Module } from './module.ts'
import { declarationsIn, type LintPolicy } from './policy.ts'
import { type Place, placeOf } from './problems.ts'

export function findShadowed(policy: LintPolicy, builtins: ReadonlySet<string>): readonly Finding[] {
  return policy.modules.flatMap((module) => {
    const hidden = hiddenBy(policy, module, builtins)
    const found = new Map<string, Finding>()
    for (const rule of module.rules) {
      const own = rule.path[module.package.length] ?? ''
      const import_ = module.imports.some(({ name }) => name === own) ? `the import ${own}` : undefined
      const what = import_ ?? (builtins.has(own) ? `the builtin ${own}` : undefined)
      if (what !== undefined) found.set(`rule ${own}`, shadowed(rule.place, `the rule ${own}`, what))
      for (const { node, steps } of declarationsIn(rule)) {
        const [name = ''] = steps
        const hides = hidden(name)
        const place = placeOf(node['location'])
        if (hides === undefined || !place) continue
        const at: Place = { ...place, file: module.file }
        found.set(`${at.row}:${at.column}`, shadowed(at, `the variable ${name}`, hides))
      }
    }
    return [...found.values()]
  })
}

function hiddenBy(
  policy: LintPolicy,
  module: Module,
  builtins: ReadonlySet<string>,
): (name: string) => string | undefined {
  const samePackage = (other: Module): boolean => other.package.join('/') === module.package.join('/')
  const rules = new Set(
    policy.modules.filter(samePackage).flatMap(({ rules, package: own }) => rules.map(({ path }) => path[own.length])),
  )
  const imports = new Set(module.imports.map(({ name }) => name))
  return (name) => {
    if (name === 'input' || name === 'data') return `the document ${name}`
    if (rules.has(name)) return `the rule ${name}`
    if (imports.has(name)) return `the import ${name}`
    return builtins.has(name) ? `the builtin ${name}` : undefined
  }
}

const shadowed = (place: Place, what: string, hides: string): Finding =>
  finding('shadowed-name', place, `${what} hides ${hides}`, 'give it another name')
