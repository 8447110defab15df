/** All modules of a policy: which rules there are, what a name means where it stands, and what leads to what. */

import type { Json } from '../../core/json.ts'
import { type Body, listOf, type Module, objectOf, type Rule } from './module.ts'
import { asTerm, type Mention, mentionsIn, variablesIn, walk } from './terms.ts'

export type Meaning =
  | { readonly kind: 'input' | 'data'; readonly path: readonly string[]; readonly whole: boolean }
  | { readonly kind: 'other'; readonly name: string }

export interface LintPolicy {
  readonly modules: readonly Module[]
  /** Rules of one name, by their path. */
  readonly groups: readonly Group[]
  /** Paths of rules or packages that are asked from outside. */
  readonly entrypoints: readonly (readonly string[])[]
  /** What a name means in a rule. */
  meaning(mention: Mention, module: Module, rule: Rule): Meaning
  /** Groups that a path may lead to: those above, below and at it. */
  at(path: readonly string[]): readonly Group[]
}

export interface Group {
  readonly path: readonly string[]
  readonly rules: readonly Placed[]
}

export interface Placed {
  readonly module: Module
  readonly rule: Rule
}

/** `named` are entry points beside those that metadata names, with slashes. */
export function lintPolicy(modules: readonly Module[], named: readonly string[] = []): LintPolicy {
  const groups = new Map<string, { path: readonly string[]; rules: Placed[] }>()
  for (const module of modules) {
    for (const rule of module.rules) {
      const key = JSON.stringify(rule.path)
      const group = groups.get(key) ?? { path: rule.path, rules: [] }
      group.rules.push({ module, rule })
      groups.set(key, group)
    }
  }
  const list = [...groups.values()]
  const marked = list.filter(({ rules }) => rules.some(({ rule }) => rule.isEntrypoint)).map(({ path }) => path)
  const packages = modules.filter((module) => module.packageIsEntrypoint).map((module) => module.package)
  const rulesOf = new Map<string, Set<string>>()
  for (const { path } of list) {
    for (let end = 1; end <= path.length; end++) {
      const above = JSON.stringify(path.slice(0, end - 1))
      rulesOf.set(above, (rulesOf.get(above) ?? new Set()).add(path[end - 1]!))
    }
  }
  return {
    modules,
    groups: list,
    entrypoints: [...marked, ...packages, ...named.map((path) => path.split('/'))],
    at: (path) => list.filter((group) => begins(group.path, path) || begins(path, group.path)),
    meaning({ steps, whole }, module, rule) {
      const [name = '', ...below] = steps
      if (name === 'input' || name === 'data') return { kind: name, path: below, whole }
      if (localsOf(rule).has(name)) return { kind: 'other', name: steps.join('.') }
      const imported = module.imports.find((one) => one.name === name)
      if (imported) {
        const [root, ...path] = imported.path
        if (root === 'input' || root === 'data') return { kind: root, path: [...path, ...below], whole }
        return { kind: 'other', name: steps.join('.') }
      }
      const here = rulesOf.get(JSON.stringify(module.package))
      if (here?.has(name)) return { kind: 'data', path: [...module.package, ...steps], whole }
      return { kind: 'other', name: steps.join('.') }
    },
  }
}

const begins = (start: readonly string[], path: readonly string[]): boolean =>
  start.length <= path.length && start.every((step, i) => step === path[i])

/** All that a rule is made of, as one tree. */
export const treeOf = (rule: Rule): Json => [...rule.args, ...rule.bodies.flatMap((body) => treeOfBody(body))]

export const treeOfBody = ({ value, key, head, expressions }: Body): readonly Json[] => [
  ...(value === undefined ? [] : [value]),
  ...(key === undefined ? [] : [key]),
  ...head,
  ...expressions,
]

/** Groups that these lead to, themselves among them. */
export function reached(policy: LintPolicy, from: readonly Group[]): ReadonlySet<Group> {
  const seen = new Set<Group>(from)
  const open = [...from]
  for (let group = open.pop(); group; group = open.pop()) {
    for (const { module, rule } of group.rules) {
      for (const mention of mentionsIn(treeOf(rule))) {
        const meaning = policy.meaning(mention, module, rule)
        if (meaning.kind !== 'data') continue
        for (const next of policy.at(meaning.path)) {
          if (seen.has(next)) continue
          seen.add(next)
          open.push(next)
        }
      }
    }
  }
  return seen
}

export const entryGroups = (policy: LintPolicy): readonly Group[] =>
  policy.groups.filter(({ path }) => policy.entrypoints.some((entry) => begins(entry, path)))

const known = new WeakMap<Rule, ReadonlySet<string>>()

/** Names that a rule declares for itself. */
export function localsOf(rule: Rule): ReadonlySet<string> {
  const before = known.get(rule)
  if (before) return before
  const names = new Set(declarationsIn(rule).map(({ steps }) => steps[0]!))
  known.set(rule, names)
  return names
}

/** Where a rule declares names: its arguments, `:=`, `some` and `every`. */
export function declarationsIn(rule: Rule): readonly Mention[] {
  const found = rule.args.flatMap((arg) => variablesIn(arg))
  walk(treeOf(rule), (node) => {
    const terms = node['terms']
    if (Array.isArray(terms)) {
      const [operator, target] = terms as readonly Json[]
      if (isCalled(operator, 'assign')) found.push(...variablesIn(target))
      return
    }
    const { symbols, domain, key, value } = objectOf(terms)
    if (domain !== undefined) found.push(...variablesIn(key), ...variablesIn(value))
    for (const symbol of listOf(symbols)) {
      const term = asTerm(symbol)
      // `some k, v in xs` is a call whose last operand is what is gone through.
      if (term?.type === 'call')
        found.push(
          ...listOf(term.value)
            .slice(1, -1)
            .flatMap((one) => variablesIn(one)),
        )
      else found.push(...variablesIn(symbol))
    }
  })
  return found
}

const isCalled = (operator: Json | undefined, name: string): boolean => {
  const [mention] = mentionsIn(operator)
  return mention?.steps.length === 1 && mention.steps[0] === name
}
