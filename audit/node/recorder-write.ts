/** One write per turn of the event loop: numbers what came in it, writes it, and answers each as its record demands. */

import { messageOf, WritError } from '../../core/fault.ts'
import type { RecordId } from '../../core/record.ts'
import type { AuditSettings } from '../../core/snapshot.ts'
import type { Demand } from '../stream/demand.ts'
import type { OnNotice } from '../stream/notice.ts'
import type { Producer, Sealed, SealedRecord } from '../stream/producer.ts'
import type { Channel, Spool } from './spool.ts'
import { sizeOfRecord } from './spool-frame.ts'

/** Who writes. The writer moves `producer` on when its records are in the spool, and not before. */
export interface Author {
  readonly channel: Channel
  producer: Producer
  /** Records the stream has. */
  acknowledged: number
  /** Those who wait for that, in order. */
  readonly waiting: Waiting[]
}

/** A record that is not in the spool. What was written and then not synced or acknowledged is another matter. */
export class Unwritten extends WritError {
  constructor(reason: unknown) {
    const cure = reason instanceof WritError ? reason.cure : undefined
    super('audit_unavailable', messageOf(reason), { cause: reason, ...(cure !== undefined && { cure }) })
  }
}

interface Waiting {
  readonly seq: number
  readonly untilMs: number
  readonly resolve: () => void
  readonly reject: (reason: WritError) => void
}

export interface Entry {
  readonly author: Author
  readonly demand: Demand
  /** May use the part of the spool that is held back, so that epochs begin and end even where it is full. */
  readonly privileged: boolean
  seal(producer: Producer): Sealed
  /** Called as soon as it is in the spool, in the order of the records. */
  written?(): void
  readonly resolve: (id: RecordId) => void
  readonly reject: (reason: unknown) => void
}

export interface Writer {
  add(entry: Entry): void
  flush(): void
  acknowledged(author: Author, seq: number): void
  /** Gives up waiting for a stream that does not answer in time. */
  expire(): void
  /** Refuses everything from now on. */
  stop(): void
  readonly refused: number
  lost: number
}

export interface WriterOptions {
  readonly spool: Spool
  readonly settings: AuditSettings
  readonly nowMs: () => number
  readonly acknowledgeWithinMs: number
  readonly onNotice: OnNotice
}

/** Entries that one write takes at most; more are written at once rather than at the end of the turn. */
const maxEntries = 4096
/** How many may wait for the stream; the next are refused. */
const maxWaiting = 65_536

export function writeTicks({ spool, settings, nowMs, acknowledgeWithinMs, onNotice }: WriterOptions): Writer {
  const reserve = Math.min(256 * 1024, settings.spoolMaxBytes / 8)
  const authors = new Set<Author>()
  let entries: Entry[] = []
  let scheduled: NodeJS.Immediate | undefined
  let waitingCount = 0
  let refused = 0
  let available = true
  let stopped = false

  const refuse = (entry: Entry, reason: unknown): void => {
    refused++
    entry.reject(reason)
  }

  const say = (nowAvailable: boolean, detail: string): void => {
    if (nowAvailable === available) return
    available = nowAvailable
    const name = available ? 'spool_available' : 'spool_unavailable'
    onNotice({ name, level: available ? 'info' : 'error', detail })
  }

  const flush = (): void => {
    if (scheduled) clearImmediate(scheduled)
    scheduled = undefined
    if (entries.length === 0) return
    const batch = entries
    entries = []
    const moved = new Map<Author, Producer>()
    const kept: { readonly entry: Entry; readonly seq: number }[] = []
    const records: { channel: Channel; record: SealedRecord }[] = []
    let room = spool.room
    let full: Unwritten | undefined
    for (const entry of batch) {
      let sealed: Sealed
      try {
        sealed = entry.seal(moved.get(entry.author) ?? entry.author.producer)
      } catch (thrown) {
        refuse(entry, thrown)
        continue
      }
      let size = 0
      for (const record of sealed.records) size += 1 + sizeOfRecord(record)
      if (size > room - (entry.privileged ? 0 : reserve)) {
        full ??= new Unwritten(fullSpool(settings.spoolMaxBytes))
        refuse(entry, full)
        continue
      }
      room -= size
      moved.set(entry.author, sealed.producer)
      for (const record of sealed.records) records.push({ channel: entry.author.channel, record })
      kept.push({ entry, seq: sealed.producer.next - 1 })
    }
    if (full) say(false, full.message)
    if (kept.length === 0) return
    let point: number
    try {
      point = spool.append(records)
    } catch (thrown) {
      say(false, messageOf(thrown))
      const unwritten = new Unwritten(thrown)
      for (const { entry } of kept) refuse(entry, unwritten)
      return
    }
    if (!full) say(true, 'records are kept again')
    for (const [author, producer] of moved) author.producer = producer
    for (const { entry, seq } of kept) answer(entry, seq, point)
  }

  const answer = (entry: Entry, seq: number, point: number): void => {
    const { author, demand } = entry
    entry.written?.()
    const id: RecordId = { producer: author.producer.id, epoch: author.producer.epoch, seq }
    const done = () => entry.resolve(id)
    if (demand.wait === 'written') {
      done()
      return
    }
    const fail = (reason: unknown) => refuse(entry, reason)
    const synced = spool.synced(point, demand.urgent)
    if (demand.wait === 'synced') synced.then(done, fail)
    else synced.then(() => waitForStream(author, seq, done, fail), fail)
  }

  const waitForStream = (
    author: Author,
    seq: number,
    resolve: () => void,
    reject: (reason: WritError) => void,
  ): void => {
    if (seq < author.acknowledged) resolve()
    else if (waitingCount >= maxWaiting || stopped) reject(unacknowledged(acknowledgeWithinMs))
    else {
      waitingCount++
      authors.add(author)
      author.waiting.push({ seq, untilMs: nowMs() + acknowledgeWithinMs, resolve, reject })
    }
  }

  /** Those at the front who are done waiting. */
  const dismiss = (author: Author, isDone: (waiting: Waiting) => boolean, tell: (waiting: Waiting) => void): void => {
    let count = 0
    while (count < author.waiting.length && isDone(author.waiting[count]!)) count++
    for (const waiting of author.waiting.splice(0, count)) tell(waiting)
    waitingCount -= count
    if (author.waiting.length === 0) authors.delete(author)
  }

  const expire = (isLate: (waiting: Waiting) => boolean): void => {
    const reason = unacknowledged(acknowledgeWithinMs)
    for (const author of authors) {
      dismiss(author, isLate, ({ reject }) => reject(reason))
    }
  }

  return {
    add(entry) {
      if (stopped) {
        refuse(entry, new WritError('audit_unavailable', 'the recorder is closed'))
        return
      }
      entries.push(entry)
      // The end of the turn, after all sockets that had something to say: one write for all of them.
      if (entries.length >= maxEntries) flush()
      else scheduled ??= setImmediate(flush)
    },
    flush,
    acknowledged(author, seq) {
      author.acknowledged = Math.max(author.acknowledged, seq + 1)
      dismiss(
        author,
        (waiting) => waiting.seq <= seq,
        ({ resolve }) => resolve(),
      )
    },
    expire() {
      if (waitingCount === 0) return
      const now = nowMs()
      expire(({ untilMs }) => untilMs <= now)
    },
    stop() {
      flush()
      stopped = true
      expire(() => true)
    },
    get refused() {
      return refused
    },
    lost: 0,
  }
}

const fullSpool = (maxBytes: number): WritError =>
  new WritError('audit_unavailable', `the spool is full: its limit is spoolMaxBytes, ${maxBytes} bytes`, {
    cure: 'Let the stream and the auditor catch up, or raise spoolMaxBytes.',
  })

const unacknowledged = (ms: number): WritError =>
  new WritError('audit_unavailable', `the stream did not acknowledge the record within ${ms} ms`, {
    cure: 'Look at the stream, or use the durability "strict".',
  })
