/** Counts refusals of peers without a name, so that no stranger can fill the spool: per source and code, each second. */

import { utf8 } from '../../core/bytes.ts'
import { canonicalJson, type Json } from '../../core/json.ts'
import type { RefusalsBody } from '../../core/record.ts'

/** Distinct sources and codes that a listener records each second; the rest is only counted. */
export const refusalsPerSecond = 256
/** Listeners counted at once. They come from the config; this bound holds against a mistake in a caller. */
const maxListeners = 4096
const maxDetail = 200
const maxName = 64
/** Bytes of refusals in one record, well below the 65 535 of a leaf. */
const recordBytes = 48 * 1024

export interface Refusal {
  readonly listener: string
  readonly source: string
  readonly code: string
  readonly detail: string
  /** How many of them, where somebody has counted already. Default 1. */
  readonly count?: number
}

interface Counted {
  readonly source: string
  readonly code: string
  readonly detail: string
  count: number
}

interface Window {
  readonly distinct: Map<string, Counted>
  others: number
}

/** What came since the last record was made. A counter, mutable because strangers drive it. */
export type Refusals = Map<string, Window>

export const newRefusals = (): Refusals => new Map()

/** False where even the listener did not fit and nothing was counted. */
export function countRefusal(refusals: Refusals, refusal: Refusal): boolean {
  const listener = refusal.listener.slice(0, 256)
  let window = refusals.get(listener)
  if (!window) {
    if (refusals.size >= maxListeners) return false
    window = { distinct: new Map(), others: 0 }
    refusals.set(listener, window)
  }
  const source = clip(refusal.source, maxName)
  const code = clip(refusal.code, maxName)
  const key = `${code} ${source}`
  const counted = window.distinct.get(key)
  const { count = 1 } = refusal
  if (counted) counted.count += count
  else if (window.distinct.size >= refusalsPerSecond) window.others += count
  else window.distinct.set(key, { source, code, detail: clip(refusal.detail, maxDetail), count })
  return true
}

/** The records of what was counted, and an empty count. */
export function takeRefusals(refusals: Refusals): RefusalsBody[] {
  const bodies: RefusalsBody[] = []
  for (const [listener, window] of refusals) {
    let items: Counted[] = []
    let bytes = 0
    let { others } = window
    const emit = () => {
      bodies.push({ kind: 'refusals', listener: listener.toWellFormed(), refusals: items, others })
      items = []
      bytes = 0
      others = 0
    }
    for (const item of window.distinct.values()) {
      const size = utf8(canonicalJson(item as unknown as Json)).length + 1
      if (bytes + size > recordBytes) emit()
      items.push(item)
      bytes += size
    }
    emit()
  }
  refusals.clear()
  return bodies
}

const clip = (text: string, length: number): string => text.slice(0, length).toWellFormed()
