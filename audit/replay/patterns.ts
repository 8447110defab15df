/**
 * Paths that were seen, as few patterns as the evidence bears. A position becomes `{}` where more distinct values stood at
 * it, below the same steps, than `values` allows; names, which hold no digit and are not long, take more of them. So
 * `/orders/1` to `/orders/9` are `/orders/{}`, and eight of them are eight lines. Which steps a `{}` stands for is what
 * `writ.lib.http` says: none that is empty or that an upstream might read as two.
 */

import { isValue } from './shape.ts'

export interface PatternLimits {
  /** Distinct values at one position that stay apart. Default 8. */
  readonly values?: number
  /** Distinct names at one position that stay apart. Default 64. */
  readonly names?: number
  /** Steps that are remembered, over all patterns that share `room`. Default 200 000. */
  readonly room?: Room
}

/** How many more steps may be remembered. */
export interface Room {
  left: number
}

export interface SeenPattern {
  readonly path: readonly string[]
  readonly count: number
  /** Time of the last, RFC 3339. */
  readonly last: string
  /** Paths that it was made of, three at most, in order of their text. */
  readonly examples: readonly string[]
}

export type Kept = 'kept' | 'unwritable' | 'no_room'

export const anyStep = '{}'

const maxSteps = 64
const maxExamples = 3

type Kind = 'value' | 'name' | 'odd'

interface Node {
  readonly steps: Map<string, Node>
  any: Node | undefined
  readonly distinct: Record<Kind, number>
  /** Kinds that have become `{}`. */
  readonly open: Set<Kind>
  count: number
  last: string
  examples: string[]
}

export class Patterns {
  readonly #root: Node = node()
  readonly #limits: Readonly<Record<Kind, number>>
  readonly #room: Room

  constructor({ values = 8, names = 64, room = { left: 200_000 } }: PatternLimits = {}) {
    this.#limits = { value: values, name: names, odd: names }
    this.#room = room
  }

  /** `unwritable`: no pattern says that path and not others too, or there are too many of its kind. */
  saw(steps: readonly string[], time: string): Kept {
    if (steps.length > maxSteps || !steps.every(isWritable)) return 'unwritable'
    let at = this.#root
    for (const step of steps) {
      const kind = kindOf(step)
      if (at.open.has(kind)) {
        at = at.any!
        continue
      }
      const known = at.steps.get(step)
      if (known) {
        at = known
        continue
      }
      if (this.#room.left <= 0) return 'no_room'
      if (kind === 'odd' && at.distinct.odd >= this.#limits.odd) return 'unwritable'
      this.#room.left--
      const made = node()
      at.steps.set(step, made)
      at.distinct[kind]++
      if (at.distinct[kind] <= this.#limits[kind]) at = made
      else at = this.#generalise(at, kind)
    }
    at.count++
    if (time > at.last) at.last = time
    at.examples = joined(at.examples, [`/${steps.join('/')}`])
    return 'kept'
  }

  #generalise(at: Node, kind: Kind): Node {
    at.open.add(kind)
    at.any ??= node()
    for (const [step, child] of at.steps) {
      if (kindOf(step) !== kind) continue
      at.steps.delete(step)
      this.#room.left++
      this.#merge(at.any, child)
    }
    return at.any
  }

  #merge(into: Node, from: Node): void {
    into.count += from.count
    if (from.last > into.last) into.last = from.last
    into.examples = joined(into.examples, from.examples)
    for (const [step, child] of from.steps) {
      const kind = kindOf(step)
      const known = into.open.has(kind) ? into.any! : into.steps.get(step)
      if (known) {
        this.#room.left++
        this.#merge(known, child)
      } else {
        into.steps.set(step, child)
        into.distinct[kind]++
        if (into.distinct[kind] > this.#limits[kind] && kind !== 'odd') this.#generalise(into, kind)
      }
    }
    if (!from.any) return
    into.any ??= node()
    this.#merge(into.any, from.any)
    for (const kind of from.open) this.#generalise(into, kind)
  }

  /** In order of their steps. */
  list(): readonly SeenPattern[] {
    const found: SeenPattern[] = []
    const visit = (at: Node, path: readonly string[]): void => {
      const { count, last, examples } = at
      if (count > 0) found.push({ path, count, last, examples })
      const steps = [...at.steps].toSorted(([a], [b]) => (a < b ? -1 : 1))
      for (const [step, child] of steps) visit(child, [...path, step])
      if (at.any) visit(at.any, [...path, anyStep])
    }
    visit(this.#root, [])
    return found
  }
}

const node = (): Node => ({
  steps: new Map(),
  any: undefined,
  distinct: { value: 0, name: 0, odd: 0 },
  open: new Set(),
  count: 0,
  last: '',
  examples: [],
})

/** Steps that patterns read as something else than themselves. */
const isWritable = (step: string): boolean => !step.startsWith('{') && step !== '**'

const kindOf = (step: string): Kind => (!isOneStep(step) ? 'odd' : isValue(step) ? 'value' : 'name')

const isOneStep = (step: string): boolean => !['', '.', '..'].includes(step) && !/[/\\]/.test(step)

const joined = (some: readonly string[], more: readonly string[]): string[] =>
  [...new Set([...some, ...more])].toSorted().slice(0, maxExamples)

/** Whether steps fit a pattern, by the rules of `writ.lib.http`: the test holds the two together. */
export function fits(pattern: readonly string[], steps: readonly string[]): boolean {
  const last = pattern.length - 1
  const open = pattern[last] === '**'
  if (open ? steps.length <= last : steps.length !== pattern.length) return false
  return steps.every((step, i) => (open && i >= last ? isOneStep(step) : fitsStep(pattern[i]!, step)))
}

const fitsStep = (wanted: string, step: string): boolean =>
  (wanted === step && wanted !== '**') || (wanted.startsWith('{') && isOneStep(step))
