/** Which functions of a module are paid for when they are called: those whose calls may not end soon. */

import type { Body } from './meter.ts'

/** Calls within each other that the step of a caller may stand for. */
const maxWeight = 64

interface Visit {
  readonly function: number
  /** The next of its calls to look at. */
  next: number
  weight: number
}

/**
 * A function weighs one, and what those it calls weigh that are not paid for themselves; loops in it are paid by the
 * turn, and so is what they call. Paid for are those that are too heavy, those that call what they find in a table, and
 * of each circle of calls one at least: where a search in depth comes back to a function that it is still in.
 */
export function paidCalls(bodies: readonly Body[], imported: number): readonly boolean[] {
  const paid = bodies.map((body) => body.callsIndirectly)
  const weights: (number | 'open' | undefined)[] = bodies.map(() => undefined)

  const visit = (root: number): void => {
    const path: Visit[] = []
    const enter = (index: number): void => {
      weights[index] = 'open'
      path.push({ function: index, next: 0, weight: 1 })
    }
    enter(root)
    for (let at = path.at(-1); at; at = path.at(-1)) {
      const called = bodies[at.function]!.calls[at.next]
      if (called === undefined) {
        if (at.weight > maxWeight) paid[at.function] = true
        weights[at.function] = at.weight
        path.pop()
        continue
      }
      const own = called - imported
      const weight = own < 0 ? 1 : weights[own]
      if (weight === undefined) {
        enter(own)
        continue // And looked at again once its weight is known.
      }
      if (weight === 'open') paid[own] = true
      else if (own < 0 || !paid[own]) at.weight += weight
      at.next++
    }
  }
  bodies.forEach((_, index) => {
    if (weights[index] === undefined) visit(index)
  })
  return paid
}
