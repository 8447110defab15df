/** What a quarantine would deny: what its caller was let do lately, from the log. */

import { operationOf } from '../findings/operation.ts'

export interface Reached {
  readonly target: string
  /** `GET /orders/{}`: the method and the path's shape. */
  readonly operation: string
  readonly count: number
  /** RFC 3339. */
  readonly last: string
}

export interface Preview {
  readonly caller: string
  readonly fromMs: number
  readonly toMs: number
  /** Most used first. */
  readonly reached: readonly Reached[]
  readonly total: number
  /** There were more kinds of requests than are told apart; the counts of those that are not here are missing. */
  readonly truncated: boolean
}

/** One sort of request as the store groups them. */
export interface ReachedRow {
  readonly target: string | null
  readonly method: string | null
  readonly path: string | null
  readonly count: number
  readonly last: string
}

/** Lines of a preview at most. */
export const maxReached = 500

export function foldReached(rows: readonly ReachedRow[]): {
  readonly reached: readonly Reached[]
  readonly truncated: boolean
} {
  const folded = new Map<string, { target: string; operation: string; count: number; last: string }>()
  for (const { target, method, path, count, last } of rows) {
    const operation = operationOf(method ?? '', path ?? '')
    const key = `${target ?? ''}\n${operation}`
    const known = folded.get(key)
    if (!known) folded.set(key, { target: target ?? '', operation, count, last })
    else {
      known.count += count
      if (last > known.last) known.last = last
    }
  }
  const all = [...folded.values()].toSorted((a, b) => b.count - a.count)
  return { reached: all.slice(0, maxReached), truncated: all.length > maxReached }
}
