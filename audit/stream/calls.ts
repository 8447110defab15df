/** Gathers what a caller's sidecar saw of its calls, so that one record carries many of them. */

import type { CallItem, CallsBody } from '../../core/record.ts'

/** Most calls in one record, and their bytes: well below the 65 535 of a leaf. */
const callsPerRecord = 256
const recordBytes = 48 * 1024
/** Longest time a call waits for company, in milliseconds. */
const callsWaitMs = 200
/** JSON of one item beside its texts. */
const itemBytes = 100

/** What waits for the next record; mutable because every call adds to it. */
export interface Calls {
  items: CallItem[]
  bytes: number
  /** When the oldest of them came, in milliseconds. */
  sinceMs: number
}

export const newCalls = (): Calls => ({ items: [], bytes: 0, sinceMs: 0 })

const sizeOf = ({ request_id, target, service, decision }: CallItem): number =>
  itemBytes + request_id.length + target.length + 2 * service.length + (decision?.length ?? 0)

export function addCall(calls: Calls, item: CallItem, nowMs: number): void {
  if (calls.items.length === 0) calls.sinceMs = nowMs
  calls.items.push(item)
  calls.bytes += sizeOf(item)
}

/** Whoever adds asks after each: so one record never holds more than a leaf. */
export const callsDue = ({ items, bytes, sinceMs }: Calls, nowMs: number): boolean =>
  items.length >= callsPerRecord || bytes >= recordBytes || (items.length > 0 && nowMs - sinceMs >= callsWaitMs)

/** The record of all that waits, or undefined where nothing does. */
export function takeCalls(calls: Calls): CallsBody | undefined {
  if (calls.items.length === 0) return undefined
  const { items } = calls
  calls.items = []
  calls.bytes = 0
  return { kind: 'calls', calls: items }
}
