/** `grants`: who was let do what, and when last. */

import type { Json } from '../../../../core/json.ts'
import { Count, type DrawKey } from '../count.ts'
import { textAt } from '../view.ts'
import type { Ending, Fact, Seen } from './fact.ts'

const maxEdges = 200_000

/** An edge is a caller, a workload and its service. */
export function grantsFact(): Fact {
  const edges = new Map<string, { lastMs: number; key: DrawKey; at: Seen['at'] }>()
  let whole = true
  return {
    take({ view, at, key }) {
      const { event, atMs } = view
      const body = event as unknown as Json
      if (event.kind !== 'decision' || textAt(body, 'verdict') !== 'allow') return
      const { direction, enforced } = event as unknown as { readonly direction?: string; readonly enforced?: boolean }
      if (direction !== 'inbound' || enforced === false) return
      const edge = String(view.derived('@edge'))
      const known = edges.get(edge)
      if (known) {
        if (atMs > known.lastMs) Object.assign(known, { lastMs: atMs, key, at })
      } else if (edges.size < maxEdges) edges.set(edge, { lastMs: atMs, key, at })
      else whole = false
    },
    finish: ({ toMs, parameters }: Ending) => {
      const since = toMs - (parameters['days'] ?? 0) * 86_400_000
      const [unused, used] = [new Count(10), new Count()]
      for (const [edge, { lastMs, key, at }] of edges) (lastMs < since ? unused : used).add(key, at, edge)
      return {
        values: { edges: edges.size, unused: unused.count, whole },
        tallies: { unused: unused.finish(), used: used.finish() },
      }
    },
  }
}
