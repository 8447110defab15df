/**
 * Carries records from the spool to the stream: each epoch in order, one batch in flight, several epochs at a time,
 * for as long as it takes. What it sends again after a restart the ledger knows by its number.
 */

import { messageOf } from '../../core/fault.ts'
import type { RandomBytes, Stream } from '../../core/ports.ts'
import type { Epoch } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { OnNotice } from '../stream/notice.ts'
import { backOff, type Pause, pause } from './pause.ts'
import type { PumpPosition } from './pump-position.ts'
import type { Spool } from './spool.ts'
import { headerBytes, readFrame, sentOf } from './spool-frame.ts'
import type { Segment } from './spool-scan.ts'
import type { Written } from './spool-tail.ts'

/** Records in one batch, and their bytes: what one message of the stream holds. */
const batchRecords = 2000
const batchBytes = 512 * 1024
/** Bytes read and not yet acknowledged; reading waits while there are more. */
const maxBufferedBytes = 8 * 1024 ** 2
/** Bytes read at a time; more than the longest frame, so that a chunk without a whole frame is damage. */
const readBytes = 256 * 1024
/** Records handed on at once from which a spool counts as busy. */
const busyRecords = 20
/** Shortest and longest time before a batch is tried again, in milliseconds. */
const retryMs = { first: 100, most: 10_000 }

export interface PumpOptions {
  readonly spool: Spool
  readonly stream: Stream
  readonly position: PumpPosition
  readonly random: RandomBytes
  readonly onNotice: OnNotice
  /** How long records of a busy spool are gathered before they go on together, in milliseconds. Default they are not. */
  readonly gatherMs?: number
  /** The stream has this epoch's records up to `seq`. */
  readonly onAcknowledged: (epoch: Epoch, seq: number) => void
}

export interface Pump {
  /** There is more to read. */
  wake(): void
  /** Whether the stream has everything up to the end of this segment. */
  has(segment: Segment): boolean
  /** Resolves once the stream has all that is readable now. */
  drained(): Promise<void>
  /** Reads from the beginning of this segment on once more. */
  rewind(segment: Segment): void
  readonly published: number
  readonly failures: number
  /** Records read and not yet acknowledged. */
  readonly pending: number
  stop(): Promise<void>
}

/** What waits of one epoch. */
interface Lane {
  readonly producer: SpiffeId
  readonly epoch: Epoch
  readonly queue: { readonly seq: number; readonly record: Uint8Array; readonly segment: number; readonly at: number }[]
  sending: boolean
}

export function startPump(options: PumpOptions): Pump {
  const { spool, stream, position, random, onNotice, gatherMs = 0, onAcknowledged } = options
  const lanes = new Map<Epoch, Lane>()
  const stopped = new AbortController()
  const buffer = new Uint8Array(readBytes)
  let more: Pause = pause()
  const known = spool.segments.some(({ number }) => number >= position.segment)
  let cursor = known ? { segment: position.segment, at: position.at } : { segment: 0, at: headerBytes }
  let channels = new Map<number, { producer: SpiffeId; epoch: Epoch; next: number }>()
  let open: Segment | undefined
  let readAt = headerBytes
  let buffered = 0
  let pending = 0
  /** Records queued since some were handed on last, how many those were, and when that was. */
  let queued = 0
  let handed = 0
  let handedAtMs = 0
  let published = 0
  let failures = 0
  let failing = false
  let rewindTo: Segment | undefined
  let waiters: { readonly until: { readonly segment: number; readonly at: number }; readonly resolve: () => void }[] =
    []

  /** The first record that the stream may not have. */
  const settled = (): { segment: number; at: number } => {
    let first = cursor
    for (const { queue } of lanes.values()) {
      const head = queue[0]
      if (head && isBefore(head, first)) first = head
    }
    return { segment: first.segment, at: first.at }
  }

  const moved = (): void => {
    const now = settled()
    position.moveTo(now.segment, now.at)
    const done = waiters.filter(({ until }) => !isBefore(now, until))
    waiters = waiters.filter(({ until }) => isBefore(now, until))
    for (const { resolve } of done) resolve()
    more.wake()
  }

  const readAll = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      more = pause()
      if (rewindTo && lanes.size === 0) {
        cursor = { segment: rewindTo.number, at: headerBytes }
        close()
        rewindTo = undefined
      }
      const waitMs = gathersFor()
      if (waitMs > 0) {
        await more.wait(stopped.signal, waitMs)
        continue
      }
      const read = buffered < maxBufferedBytes && !rewindTo && (await readSome())
      if (!read) await more.wait(stopped.signal)
    }
  }

  /** Each batch costs the same whether it is full or not, so a busy spool is read a few times a second. */
  const gathersFor = (): number => {
    if (handed < busyRecords || waiters.length > 0 || rewindTo || !open || open.closed) return 0
    return open.readable - readAt >= batchBytes / 2 ? 0 : handedAtMs + gatherMs - performance.now()
  }

  const close = (): void => {
    if (open) spool.rest(open)
    open = undefined
    channels = new Map()
  }

  /** Takes what is in memory, or reads one chunk, into the lanes. False where there is nothing to read yet. */
  const readSome = async (): Promise<boolean> => {
    if (!open) {
      open = spool.segments.find((segment) => segment.number >= cursor.segment)
      if (!open) return false
      // A hint past the end of its segment is no hint.
      if (open.number > cursor.segment || cursor.at > open.end) cursor = { segment: open.number, at: headerBytes }
      readAt = headerBytes
    }
    const segment = open
    const to = segment.readable
    if (readAt >= to) {
      if (!segment.closed || readAt < segment.end) return false
      return nextSegment()
    }
    if (takeWritten(segment, to)) return true
    try {
      const until = Math.min(to, readAt + readBytes, spool.tail.begins(segment.number, readAt))
      const got = await spool.read(segment, buffer.subarray(0, until - readAt), readAt)
      const used = intoLanes(segment, got)
      if (used > 0) return true
      throw new Error(`no whole frame at ${readAt}`)
    } catch (thrown) {
      const detail = `${segment.path}: what was kept cannot be read back: ${messageOf(thrown)}`
      onNotice({ name: 'spool_damaged', level: 'error', detail })
      if (!segment.closed && !rolled(spool, segment)) return false
      return nextSegment()
    }
  }

  const nextSegment = (): boolean => {
    cursor = { segment: cursor.segment + 1, at: headerBytes }
    close()
    moved()
    return true
  }

  /** From memory as much as may wait at once. False where it is read from the disk. */
  const takeWritten = (segment: Segment, to: number): boolean => {
    const from = readAt
    while (buffered < maxBufferedBytes) {
      const written = spool.tail.take(segment.number, readAt, to)
      if (!written) break
      queueWritten(written)
    }
    if (readAt === from) return false
    handOn(segment)
    return true
  }

  const queueWritten = ({ segment, to, records, begins }: Written): void => {
    for (let i = 0; i < records.length; i++) {
      const { channel, record } = records[i]!
      const { producer, epoch } = channel
      const known = channels.get(channel.number)
      if (known) known.next = record.seq + 1
      else channels.set(channel.number, { producer, epoch, next: record.seq + 1 }) // The disk may be read after it.
      const at = begins[i]!
      if (at < readAt || at < cursor.at) continue
      queue(channel, record.seq, sentOf(record), segment, at)
    }
    readAt = to
  }

  /** What was read is on its way. */
  const handOn = (segment: Segment): void => {
    handed = queued
    queued = 0
    handedAtMs = performance.now()
    cursor = { segment: segment.number, at: Math.max(cursor.at, readAt) }
    for (const lane of lanes.values()) if (!lane.sending) void send(lane)
    moved() // Also where there was nothing to send in it.
  }

  /** Takes whole frames; throws on bytes that are none. */
  const intoLanes = (segment: Segment, got: number): number => {
    const chunk = buffer.slice(0, got) // What is sent from it lies there until the stream has it.
    let at = 0
    for (;;) {
      const result = readFrame(chunk, at, got, readAt)
      if ('short' in result) break
      if ('wrong' in result) throw new Error(`${result.wrong} at ${readAt + at}`)
      const { frame } = result
      if (frame.kind === 'channel') {
        const { producer, epoch, next } = frame.declared
        channels.set(frame.channel, { producer, epoch, next })
      }
      if (frame.kind === 'record') {
        const channel = channels.get(frame.channel)
        if (!channel) throw new Error(`a record of no declared epoch at ${frame.at}`)
        const seq = channel.next++
        if (frame.at >= cursor.at) queue(channel, seq, frame.payload.subarray(1), segment.number, frame.at)
      }
      at = result.next
    }
    readAt += at
    handOn(segment)
    return at
  }

  const queue = (
    { producer, epoch }: { readonly producer: SpiffeId; readonly epoch: Epoch },
    seq: number,
    record: Uint8Array,
    segment: number,
    at: number,
  ): void => {
    let lane = lanes.get(epoch)
    if (!lane) {
      lane = { producer, epoch, queue: [], sending: false }
      lanes.set(epoch, lane)
    }
    lane.queue.push({ seq, record, segment, at })
    buffered += record.length
    pending++
    queued++
  }

  /** Empties one lane. */
  const send = async (lane: Lane): Promise<void> => {
    lane.sending = true
    while (lane.queue.length > 0 && !stopped.signal.aborted) {
      let count = 0
      let bytes = 0
      while (count < lane.queue.length && count < batchRecords) {
        const next = lane.queue[count]!
        // A lane may hold a number that does not follow: bytes were lost, or a segment is read once more.
        if (count > 0 && (bytes + next.record.length > batchBytes || next.seq !== lane.queue[0]!.seq + count)) break
        bytes += next.record.length + 1
        count++
      }
      const items = lane.queue.slice(0, count)
      if (
        !(await publish(
          lane,
          items[0]!.seq,
          items.map(({ record }) => record),
        ))
      )
        break
      lane.queue.splice(0, count)
      for (const { record } of items) buffered -= record.length
      pending -= count
      published += count
      onAcknowledged(lane.epoch, items.at(-1)!.seq)
      if (lane.queue.length === 0) lanes.delete(lane.epoch)
      moved()
    }
    lane.sending = false
  }

  /** Tries until the stream has it; false where the pump was stopped first. */
  const publish = async (lane: Lane, firstSeq: number, records: readonly Uint8Array[]): Promise<boolean> => {
    for (let tries = 0; !stopped.signal.aborted; tries++) {
      try {
        const { producer, epoch } = lane
        const partition = await position.partitionOf(epoch, () => stream.partitions())
        await stream.publish({ producer, epoch, partition, firstSeq, records })
        if (stopped.signal.aborted) return false
        if (failing) onNotice({ name: 'stream_recovered', level: 'info', detail: 'the stream takes records again' })
        failing = false
        return true
      } catch (thrown) {
        failures++
        if (!failing) onNotice({ name: 'stream_failed', level: 'warn', detail: messageOf(thrown) })
        failing = true
        await pause().wait(stopped.signal, backOff(tries, retryMs, random))
      }
    }
    return false
  }

  const reading = readAll()
  return {
    wake: () => more.wake(),
    has: (segment) => isBefore({ segment: segment.number, at: segment.end - 1 }, settled()),
    drained() {
      const last = spool.segments.findLast((segment) => segment.readable > headerBytes)
      if (!last) return Promise.resolve()
      const until = { segment: last.number, at: last.readable }
      if (!isBefore(settled(), until)) return Promise.resolve()
      return new Promise((resolve) => {
        waiters.push({ until, resolve })
        more.wake()
      })
    },
    rewind(segment) {
      rewindTo = segment
      more.wake()
    },
    get published() {
      return published
    },
    get failures() {
      return failures
    },
    get pending() {
      return pending
    },
    async stop() {
      stopped.abort()
      await reading
      close()
      position.save()
    },
  }
}

/** A segment that cannot be read is written no further. */
function rolled(spool: Spool, segment: Segment): boolean {
  try {
    spool.roll()
    return segment.closed
  } catch {
    return false // The spool refuses records, and says so itself.
  }
}

const isBefore = (
  a: { readonly segment: number; readonly at: number },
  b: { readonly segment: number; readonly at: number },
): boolean => a.segment < b.segment || (a.segment === b.segment && a.at < b.at)
