/** Whether a spool is large enough for the outage that it is meant for, told when it is opened, and before it is full. */

import { readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import type { AuditSettings } from '../../core/snapshot.ts'
import type { OnNotice } from '../stream/notice.ts'
import { writeWhole } from './durable.ts'

/** What one request takes: a decision, its outcome and, of a caller, its note of the call; docs/LOG.md, Sizing. */
export const bytesPerRequest = 2000
/** How long Kafka or the auditor may be away, in seconds. */
const outageS = 4 * 3600

const file = 'rate.json'

export interface Sizing {
  /** Counts what was written since the last call, and keeps the largest rate of this run. */
  measure(written: number, nowMs: number): void
  /** Tells once that three quarters of it are held, and again after it was below a half. */
  filled(held: number, nowMs: number): void
  save(): Promise<void>
}

export interface SizingOptions {
  readonly dir: string
  readonly settings: Pick<AuditSettings, 'spoolMaxBytes' | 'expectedRate'>
  readonly onNotice: OnNotice
  /** Free bytes of the folder's disk. Default asked of the machine; undefined where it does not say. */
  readonly freeBytes?: (dir: string) => number | undefined
  /** Bytes that the spool holds already. */
  readonly held: number
}

/** Bytes that a spool needs for four hours at this rate of requests a second. */
export const neededBytes = (rate: number): number => Math.ceil(rate * bytesPerRequest * outageS)

export function openSizing({ dir, settings, onNotice, freeBytes = freeOf, held }: SizingOptions): Sizing {
  const { spoolMaxBytes, expectedRate } = settings
  const measured = expectedRate === undefined ? lastRate(dir) : undefined
  const rate = expectedRate ?? measured
  if (rate !== undefined && neededBytes(rate) > spoolMaxBytes) {
    const by = expectedRate === undefined ? 'the busiest minute of the last run' : 'expectedRate'
    const detail = `spoolMaxBytes is ${spoolMaxBytes}; four hours at ${Math.ceil(rate)} requests a second (${by}) take ${neededBytes(rate)} bytes`
    onNotice({ name: 'spool_small', level: 'warn', detail })
  }
  const free = freeBytes(dir)
  if (free !== undefined && free < spoolMaxBytes - held) {
    const detail = `the disk of ${dir} has ${free} bytes left; the spool may come to hold ${spoolMaxBytes - held} more`
    onNotice({ name: 'disk_small', level: 'warn', detail })
  }
  const fill = watchFill(spoolMaxBytes, onNotice)
  let busiest = 0
  let since: { readonly atMs: number; readonly written: number } | undefined
  return {
    measure(written, nowMs) {
      since ??= { atMs: nowMs, written }
      const ms = nowMs - since.atMs
      if (ms < 60_000) return
      busiest = Math.max(busiest, ((written - since.written) * 1000) / ms / bytesPerRequest)
      since = { atMs: nowMs, written }
    },
    filled: fill,
    async save() {
      if (busiest > 0) await writeWhole(join(dir, file), JSON.stringify({ requests_per_second: busiest }), 0o600)
    },
  }
}

/** Time over which the growth is looked at, in milliseconds. */
const growthMs = 60_000

/** An outage is told while there is time to end it. */
function watchFill(maxBytes: number, onNotice: OnNotice): Sizing['filled'] {
  let since: { readonly atMs: number; readonly held: number } | undefined
  let perSecond = 0
  let told = false
  return (held, nowMs) => {
    since ??= { atMs: nowMs, held }
    const ms = nowMs - since.atMs
    if (ms >= growthMs) {
      perSecond = ((held - since.held) * 1000) / ms
      since = { atMs: nowMs, held }
    }
    if (held < maxBytes / 2) told = false
    if (told || held < maxBytes * 0.75) return
    told = true
    const left = perSecond > 0 ? `in ${Math.ceil((maxBytes - held) / perSecond / 60)} min at this rate` : 'later'
    const detail = `${held} of ${maxBytes} bytes are held for want of a stream or of checkpoints: it is full ${left}`
    onNotice({ name: 'spool_filling', level: 'warn', detail })
  }
}

function lastRate(dir: string): number | undefined {
  try {
    const rate: unknown = JSON.parse(readFileSync(join(dir, file), 'utf8')).requests_per_second
    return typeof rate === 'number' && Number.isFinite(rate) && rate > 0 ? rate : undefined
  } catch {
    return undefined // None yet, or one that cannot be read: nothing is warned of.
  }
}

function freeOf(dir: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(dir)
    return bavail * bsize
  } catch {
    return undefined
  }
}
