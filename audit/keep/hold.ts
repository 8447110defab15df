/** Legal holds: which records a case keeps, however old they are. Unsure means held. */

import { isObject } from '../../core/json.ts'
import type { AuditEvent, LogHoldBody, OutcomesBody } from '../../core/record.ts'
import { parseTime } from '../../core/time.ts'
import { recordRowOf } from '../store/row.ts'

/** Columns that a hold may name. */
export const holdColumns = [
  'caller',
  'target',
  'producer',
  'workload',
  'method',
  'path',
  'verdict',
  'code',
  'requestId',
  'epoch',
] as const

export interface Hold {
  readonly name: string
  readonly filter: Readonly<Record<string, string>>
  readonly fromNs: bigint | undefined
  readonly untilNs: bigint | undefined
}

export function holdOf({ case: name, filter = {}, from, until }: LogHoldBody): Hold {
  return {
    name,
    filter,
    fromNs: from === undefined ? undefined : parseTime(from),
    untilNs: until === undefined ? undefined : parseTime(until),
  }
}

/** A path is held by its beginning, everything else as a whole. */
export function holds(hold: Hold, event: AuditEvent): boolean {
  const at = parseTime(event.timestamp) ?? 0n
  if (hold.fromNs !== undefined && at < hold.fromNs) return false
  if (hold.untilNs !== undefined && at >= hold.untilNs) return false
  const row = recordRowOf(event) as unknown as Readonly<Record<string, unknown>>
  return Object.entries(hold.filter).every(([column, wanted]) => {
    const is = row[column]
    return column === 'path' ? String(is ?? '').startsWith(wanted) : is === wanted
  })
}

/** Kinds that are gone with age; of all others the log needs every one to be read later. */
const passing: readonly string[] = ['decision', 'outcomes', 'refusals', 'opa_decision', 'head']

export type Stays = { readonly stays: false } | { readonly stays: true; readonly holds: readonly string[] }

/** Decides entry by entry, in order, what a pruning leaves: how a held decision ended stays with it. */
export function pruner(all: readonly Hold[]): (event: AuditEvent) => Stays {
  const kept = new Map<string, readonly string[]>()
  return (event) => {
    const names = all.filter((hold) => holds(hold, event)).map(({ name }) => name)
    if (names.length > 0 && event.kind === 'decision') kept.set(`${event.epoch}-${event.seq}`, names)
    if (names.length === 0 && event.kind === 'outcomes') names.push(...endsOf(event, kept))
    if (names.length > 0) return { stays: true, holds: names }
    return passing.includes(event.kind) ? { stays: false } : { stays: true, holds: [] }
  }
}

function endsOf(event: AuditEvent, kept: Map<string, readonly string[]>): readonly string[] {
  const items: unknown = (event as AuditEvent<OutcomesBody>).outcomes
  const names = new Set<string>()
  for (const item of Array.isArray(items) ? items : []) {
    if (!isObject(item)) continue
    const id = `${event.epoch}-${String(item['seq'])}`
    for (const name of kept.get(id) ?? []) names.add(name)
    kept.delete(id)
  }
  return [...names]
}
