/** Terms of OPA's syntax tree: finding them, whatever they are part of, and reading what is fixed in them. */

import { isObject, type Json } from '../../core/json.ts'

export interface Term {
  readonly type: string
  readonly value: Json
  readonly node: { readonly [name: string]: Json | undefined }
}

export function asTerm(node: Json | undefined): Term | undefined {
  if (!isObject(node) || typeof node['type'] !== 'string') return undefined
  return { type: node['type'], value: node['value'] ?? null, node }
}

/** Every object of a tree from above, until `visit` says false of one. */
export function walk(
  node: Json | undefined,
  visit: (node: { readonly [name: string]: Json | undefined }) => unknown,
): void {
  if (Array.isArray(node)) {
    for (const one of node as readonly Json[]) walk(one, visit)
  } else if (isObject(node)) {
    if (visit(node) === false) return
    for (const [name, member] of Object.entries(node)) if (name !== 'location') walk(member, visit)
  }
}

/** Steps of a reference from its root on, up to the first that is not fixed. */
export function stepsOf(ref: Json | undefined): readonly string[] {
  const steps: string[] = []
  for (const [i, one] of (Array.isArray(ref) ? (ref as readonly Json[]) : []).entries()) {
    const term = asTerm(one)
    if (typeof term?.value !== 'string' || (i === 0 ? term.type !== 'var' : term.type !== 'string')) break
    steps.push(term.value)
  }
  return steps
}

export interface Mention {
  /** A name as it is written, and the fixed steps below it. */
  readonly steps: readonly string[]
  /** Whether all its steps are fixed. */
  readonly whole: boolean
  readonly node: { readonly [name: string]: Json | undefined }
}

/** Every name that a tree mentions, operators of calls among them. */
export function mentionsIn(tree: Json | undefined): readonly Mention[] {
  const mentions: Mention[] = []
  walk(tree, (node) => {
    const term = asTerm(node)
    if (term?.type === 'var' && typeof term.value === 'string')
      mentions.push({ steps: [term.value], whole: true, node })
    if (term?.type !== 'ref' || !Array.isArray(term.value)) return
    const ref = term.value as readonly Json[]
    const steps = stepsOf(ref)
    if (steps.length > 0) mentions.push({ steps, whole: steps.length === ref.length, node })
    for (const one of ref.slice(steps.length > 0 ? 1 : 0)) mentions.push(...mentionsIn(one))
    return false
  })
  return mentions
}

export interface Call {
  /** Dotted, as it is written: `regex.match`. */
  readonly name: string
  readonly args: readonly Json[]
  readonly node: { readonly [name: string]: Json | undefined }
}

/** Calls, also those that are a whole expression. */
export function callsIn(tree: Json | undefined): readonly Call[] {
  const calls: Call[] = []
  walk(tree, (node) => {
    const list = node['type'] === 'call' ? node['value'] : node['terms']
    if (!Array.isArray(list)) return
    const [operator, ...args] = list as readonly Json[]
    const term = asTerm(operator)
    if (term?.type === 'ref') calls.push({ name: stepsOf(term.value).join('.'), args, node })
  })
  return calls
}

export const textOf = (node: Json | undefined): string | undefined => {
  const term = asTerm(node)
  return term?.type === 'string' && typeof term.value === 'string' ? term.value : undefined
}

export const isTrue = (node: Json | undefined): boolean => {
  const term = asTerm(node)
  return term?.type === 'boolean' && term.value === true
}

export const isFalse = (node: Json | undefined): boolean => {
  const term = asTerm(node)
  return term?.type === 'boolean' && term.value === false
}

/** Variables of a pattern: of an argument, of what is assigned to, of what `some` names. */
export function variablesIn(pattern: Json | undefined): readonly Mention[] {
  return mentionsIn(pattern).filter(({ node, steps }) => node['type'] === 'var' && !steps[0]!.startsWith('$'))
}
