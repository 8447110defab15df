/** Deletes what the log holds for good: a closed segment whose last record of every epoch a signed checkpoint covers. */

import { messageOf } from '../../core/fault.ts'
import type { Receipt } from '../../core/log.ts'
import type { FindReceipt, RandomBytes } from '../../core/ports.ts'
import type { Epoch } from '../../core/record.ts'
import type { OnNotice } from '../stream/notice.ts'
import { backOff, pause } from './pause.ts'
import type { Pump } from './pump.ts'
import type { PumpPosition } from './pump-position.ts'
import type { Spool } from './spool.ts'
import { frameBytes } from './spool-frame.ts'
import type { LastRecord, Segment } from './spool-scan.ts'

/** Does the receipt prove that this record, byte for byte, is covered by a checkpoint of a trusted log? */
export type VerifyReceipt = (receipt: Receipt, record: Uint8Array) => boolean | Promise<boolean>

export interface ReleaseOptions {
  readonly spool: Spool
  readonly pump: Pump
  readonly position: PumpPosition
  /** Epochs that go on, also where none of their records is in the spool any more. */
  readonly running: () => Iterable<Epoch>
  readonly findReceipt: FindReceipt
  readonly verifyReceipt: VerifyReceipt
  readonly nowMs: () => number
  readonly random: RandomBytes
  readonly onNotice: OnNotice
  /** Age at which a segment that holds anything is closed, in milliseconds, so that it can be released. */
  readonly rollAfterMs: number
  /** Time between two looks, in milliseconds; doubles up to a minute while receipts cannot be asked for. */
  readonly everyMs: number
  /** Time after which accepted records that are still in no log are sent again, in milliseconds. */
  readonly resendAfterMs: number
}

export function startRelease(options: ReleaseOptions): { stop(): Promise<void> } {
  const { spool, pump, position, nowMs, random, onNotice, everyMs } = options
  const stopped = new AbortController()
  /** What is proven of the oldest segment, and since when it has been waiting. */
  let waiting: { readonly segment: Segment; readonly proven: Set<Epoch>; sinceMs: number } | undefined
  let failures = 0

  /** True where a segment went, and the next one can be looked at. */
  const releaseOldest = async (): Promise<boolean> => {
    const segment = spool.segments[0]
    if (!segment?.closed || !pump.has(segment)) return false
    if (spool.isLost(segment)) {
      const detail = `${segment.path} was deleted or replaced: the stream has taken all of it, and nobody can send it again`
      onNotice({ name: 'spool_damaged', level: 'error', detail })
      return released(segment)
    }
    if (waiting?.segment !== segment) waiting = { segment, proven: new Set(), sinceMs: nowMs() }
    for (const [epoch, last] of segment.last) {
      if (stopped.signal.aborted) return false
      if (waiting.proven.has(epoch)) continue
      if (!(await isProven(segment, epoch, last))) {
        resendLate(waiting)
        return false
      }
      waiting.proven.add(epoch)
    }
    return !stopped.signal.aborted && pump.has(segment) && released(segment)
  }

  const released = (segment: Segment): true => {
    spool.release(segment)
    position.keep(new Set([...options.running(), ...spool.segments.flatMap(({ last }) => [...last.keys()])]))
    return true
  }

  const isProven = async (segment: Segment, epoch: Epoch, last: LastRecord): Promise<boolean> => {
    const receipt = await options.findReceipt({ epoch, seq: last.seq })
    if (!receipt || stopped.signal.aborted) return false
    const record = new Uint8Array(last.length - 1)
    const got = await spool.read(segment, record, last.at + frameBytes)
    if (got === record.length && (await options.verifyReceipt(receipt, record)) === true) return true
    const detail = `${segment.path}: the receipt for ${epoch}-${last.seq} does not prove it`
    onNotice({ name: 'receipt_invalid', level: 'error', detail })
    return false
  }

  /** What a stream lost after it had accepted it is still here. */
  const resendLate = (late: { readonly segment: Segment; sinceMs: number }): void => {
    if (nowMs() - late.sinceMs < options.resendAfterMs) return
    late.sinceMs = nowMs()
    const detail = `${late.segment.path}: accepted by the stream, and in no log`
    onNotice({ name: 'segment_resent', level: 'warn', detail })
    pump.rewind(late.segment)
  }

  const rollOld = (): void => {
    const active = spool.segments.at(-1)
    if (!active || active.closed || active.last.size === 0) return
    // Only when the stream has it: while the stream is away, small segments would pile up.
    if (nowMs() - active.createdMs >= options.rollAfterMs && pump.has(active)) spool.roll()
  }

  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      let went = false
      try {
        rollOld()
        went = await releaseOldest()
        failures = 0
      } catch (thrown) {
        if (failures === 0) onNotice({ name: 'receipt_unavailable', level: 'warn', detail: messageOf(thrown) })
        failures++
      }
      const wait = failures === 0 ? everyMs : backOff(failures, { first: everyMs, most: 60_000 }, random)
      if (!went) await pause().wait(stopped.signal, wait)
    }
  }

  const running = run()
  return {
    /** Does not wait for a receipt that never comes. */
    async stop() {
      stopped.abort()
      await Promise.race([running, new Promise((resolve) => setImmediate(resolve))])
    },
  }
}
