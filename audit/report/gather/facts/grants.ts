/** `grants`: who was let do what, and when last. */

import type { Json } from '../../../../core/json.ts'
import { Dict, firstOf, Listed, type Place } from '../held.ts'
import { textAt } from '../view.ts'
import { type Ending, type Fact, maxFew } from './fact.ts'

type Used = { readonly lastMs: number; readonly at: Place }

/** An edge is a caller, a workload and its service. */
export function grantsFact(): Fact {
  const edges = new Dict<Used>((a, b) => (a.lastMs === b.lastMs ? firstOf(a, b) : a.lastMs > b.lastMs ? a : b), maxFew)
  return {
    always: { edges },
    reads: ['verdict', 'direction', 'enforced', '@edge'],
    take({ view, lastMs, lastAt }) {
      const { event } = view
      const body = event as unknown as Json
      if (event.kind !== 'decision' || textAt(body, 'verdict') !== 'allow') return
      const { direction, enforced } = event as unknown as { readonly direction?: string; readonly enforced?: boolean }
      if (direction !== 'inbound' || enforced === false) return
      edges.add(String(view.derived('@edge')), { lastMs, at: { ...lastAt } })
    },
    finish: ({ toMs, parameters }: Ending) => {
      const since = toMs - (parameters['days'] ?? 0) * 86_400_000
      const [unused, used] = [new Listed(10), new Listed()]
      for (const [edge, { lastMs, at }] of edges.map) (lastMs < since ? unused : used).add(at, edge)
      return {
        values: { edges: edges.map.size, unused: unused.count, whole: edges.whole },
        tallies: { unused: unused.finish(), used: used.finish() },
      }
    },
  }
}
