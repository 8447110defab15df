/** Who is in quarantine: callers that an operator cut off by a command, beside those that the mesh file names. */

import { WritError } from '../core/fault.ts'
import type { Sha256 } from '../core/ports.ts'
import { type MeshSnapshot, maxQuarantined, type Quarantined } from '../core/snapshot.ts'
import type { SpiffeId } from '../core/spiffe.ts'
import { nameSnapshot } from './mesh/name.ts'
import { byText } from './mesh/words.ts'

/** One that was ordered by a command. It is over by itself. */
export interface Ordered {
  readonly id: SpiffeId
  readonly untilMs: number
  readonly reason: string
  /** Who ordered it, by name, and the operator that the socket knows. */
  readonly by: string
  readonly actor: string
  /** RFC 3339. */
  readonly at: string
}

/** Longest time of one order, in milliseconds; what should last longer stands in the mesh file. */
export const maxQuarantineMs: number = 30 * 24 * 3_600_000

/** The list with one more, or with another end of one that is on it. `inFile` is how many the mesh file names. */
export function withOrdered(list: readonly Ordered[], one: Ordered, inFile: number): readonly Ordered[] {
  const others = list.filter(({ id }) => id !== one.id)
  if (others.length + inFile >= maxQuarantined) throw tooMany(others.length + inFile)
  return [...others, one]
}

const tooMany = (count: number): WritError =>
  new WritError('in_use', `${count} callers are in quarantine, and proxies hold ${maxQuarantined}`, {
    cure: 'lift some of them, or withdraw the issuer of so many callers',
  })

/** Those whose time is not over, and those whose is. */
export function byTime(
  list: readonly Ordered[],
  nowMs: number,
): { readonly current: readonly Ordered[]; readonly over: readonly Ordered[] } {
  return {
    current: list.filter(({ untilMs }) => nowMs < untilMs),
    over: list.filter(({ untilMs }) => nowMs >= untilMs),
  }
}

/** The snapshot with both. Where both name a caller, it is cut off for the longer time. */
export function withQuarantine(snapshot: MeshSnapshot, ordered: readonly Ordered[], sha256: Sha256): MeshSnapshot {
  if (ordered.length === 0) return snapshot
  const all = new Map<SpiffeId, Quarantined>((snapshot.quarantine ?? []).map((one) => [one.id, one]))
  for (const { id, untilMs, reason } of ordered) {
    const known = all.get(id)
    if (known && (known.untilMs === undefined || known.untilMs >= untilMs)) continue
    all.set(id, { id, untilMs, reason })
  }
  if (all.size > maxQuarantined) throw tooMany(all.size)
  const quarantine = [...all.values()].toSorted((a, b) => byText(a.id, b.id))
  return nameSnapshot({ ...snapshot, quarantine }, sha256)
}

export const orderText = ({ id, untilMs, reason, by }: Ordered): string =>
  `${id} until ${new Date(untilMs).toISOString()} by ${by}: ${reason}`
