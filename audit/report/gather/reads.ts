/**
 * Which members of a record are read at all: records that are alike in those are alike to every tally and fact, and only
 * the first of them has to be looked at.
 */

import type { Condition, TallyRule } from '../../../core/compliance.ts'
import { isObject, type Json } from '../../../core/json.ts'
import type { Declared } from '../files/declared.ts'
import { derivedReads } from './view.ts'

/** How a member is read: its value, only whether it is empty, its value where a token proved the name, or as text that may hold a card number. */
export type Reading = 'value' | 'filled' | 'jwt' | 'card'

export interface Read {
  readonly steps: readonly string[]
  readonly how: Reading
}

/** Shares of a certificate's life at which a condition turns. */
export interface Reads {
  readonly list: readonly Read[]
  readonly usedBounds: readonly number[]
  /** Something depends on the time of a record in another way: no two of them are alike. */
  readonly unlike: boolean
}

const readOf = (path: string, how: Reading): Read => {
  const [, mark, name] = /^(?:(\?|#|jwt) )?(.+)$/.exec(path)!
  const marked = { '?': 'filled', '#': 'card', jwt: 'jwt' } as const
  return { steps: name!.split('.'), how: mark === undefined ? how : marked[mark as keyof typeof marked] }
}

/** By whether they are empty, these are worked out of members that are empty or not. */
const byFilled: readonly string[] = ['@caller', '@source', '@operation']

export function readsOf(
  rules: readonly TallyRule[],
  facts: readonly string[],
  parameters: (rule: TallyRule) => Readonly<Record<string, number>>,
  declared: Declared,
): Reads {
  const list: Read[] = []
  const usedBounds: number[] = []
  let unlike = false
  const add = (path: string, how: Reading = 'value'): void => {
    if (!path.startsWith('@')) list.push(readOf(path, how))
    else if (how === 'value' || byFilled.includes(path))
      for (const one of derivedReads[path] ?? []) list.push(readOf(one, how))
    else add(path)
    if (path === '@personal') for (const pointer of declared.personal) list.push(pointed(pointer))
  }
  const used = (condition: Condition, of: Readonly<Record<string, number>>): void => {
    const said = condition as unknown as Json
    const bound = isObject(said) ? (said['over'] ?? said['under']) : undefined
    if (isObject(said) && 'exists' in said) return
    const limit = typeof bound === 'string' ? of[bound.slice(1)] : bound
    if (typeof limit === 'number') usedBounds.push(limit)
    else unlike = true
  }
  for (const rule of rules) {
    for (const [path, condition] of [rule.where ?? {}, ...(rule.any ?? [])].flatMap(Object.entries)) {
      const said = condition as Json
      add(path, isObject(said) && 'exists' in said ? 'filled' : 'value')
      if (path === '@used') used(condition as Condition, parameters(rule))
    }
    add(rule.by ?? '@edge')
    if (rule.by === '@used') unlike = true
  }
  for (const path of ['producer', 'workload', 'service', 'verdict', 'enforced', 'direction', ...facts]) add(path)
  return { list, usedBounds, unlike }
}

/** A member that is declared to be personal is in clear or not whatever it says (RFC 6901). */
const pointed = (pointer: string): Read => ({
  steps: pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')),
  how: 'filled',
})

/** How a value that stands at `steps` is read; several ways at once where several read it. */
export function readingsOf(steps: readonly string[], reads: readonly Read[]): ReadonlySet<Reading> {
  const within = reads.filter(
    (read) => read.steps.length <= steps.length && read.steps.every((one, i) => one === steps[i]),
  )
  return new Set(within.map(({ how }) => how))
}
