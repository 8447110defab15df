/**
 * The spool: records on disk, in segments, until a signed checkpoint covers them. One folder per worker.
 * A write that fails leaves nothing behind, and whoever wrote is told; a full, broken or stolen spool refuses.
 */

import { join } from 'node:path'
import { messageOf, WritError } from '../../core/fault.ts'
import type { NowNs, RandomBytes, Sha256 } from '../../core/ports.ts'
import { type Epoch, noHash } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { OnNotice } from '../stream/notice.ts'
import type { SealedRecord } from '../stream/producer.ts'
import { type FolderLock, lockFolder } from './lock.ts'
import type { SpoolFiles } from './spool-files.ts'
import {
  encodeDeclared,
  encodeEnded,
  encodeHeader,
  headerBytes,
  type Previous,
  sizeOfRecord,
  writeRecord,
} from './spool-frame.ts'
import { type Segment, scanFolder } from './spool-scan.ts'
import { type SyncGroup, syncGroup } from './spool-sync.ts'
import { SpoolTail } from './spool-tail.ts'

export interface SpoolOptions {
  readonly dir: string
  /** Bytes of all unreleased segments at which records are refused. */
  readonly maxBytes: number
  readonly segmentBytes: number
  /** Longest time a written record waits for its sync, in milliseconds. */
  readonly syncEveryMs: number
  /** Bytes written last, and not sent yet, that are kept in memory too. Default 16 MiB: a second of 10,000 decisions. */
  readonly tailBytes?: number
  readonly now: NowNs
  readonly random: RandomBytes
  readonly sha256: Sha256
  readonly files: SpoolFiles
  readonly onNotice: OnNotice
}

/** An epoch that is being written. The spool moves it on; others only hand it back. */
export interface Channel {
  readonly number: number
  readonly producer: SpiffeId
  readonly epoch: Epoch
  next: number
  prev: string
  /** Number of the segment that declares it. */
  declaredIn: number
}

/** Time between attempts to begin anew after the disk failed, in milliseconds. */
const retryMs = 1000

export class Spool {
  /** Oldest first; the last one is being written. */
  readonly segments: Segment[]
  /** Bytes of records that are not released. */
  bytes = 0
  /** Called after each sync, when there is more to read. */
  onReadable: () => void = () => {}
  /** What was written last; nothing of it may be sent before its segment is readable up to its end. */
  readonly tail: SpoolTail

  readonly #options: SpoolOptions
  #lock: FolderLock
  readonly #previous: Map<SpiffeId, Previous>
  readonly #channels = new Set<Channel>()
  readonly #sync: SyncGroup
  #active!: Segment
  #number: number
  #channelNumber = 0
  #written = 0
  #synced = 0
  #broken: WritError | undefined
  #retryAtMs = 0
  #buffer = new Uint8Array(256 * 1024)
  #closed = false
  /** Reads that are under way, by descriptor, and descriptors that are closed after them. */
  readonly #reading = new Map<number, number>()
  readonly #unwanted = new Set<number>()

  constructor(options: SpoolOptions) {
    const { dir, files } = options
    this.#options = options
    this.tail = new SpoolTail(options.tailBytes ?? 16 * 1024 ** 2)
    try {
      files.makeFolder(dir)
    } catch (thrown) {
      throw unavailable(`the spool folder ${dir} cannot be made: ${messageOf(thrown)}`, thrown)
    }
    this.#lock = lockFolder(dir, 'audit_unavailable')
    try {
      if (this.#lock.takenFrom !== undefined) {
        const detail = `${dir}: its owner is dead: ${this.#lock.takenFrom}`
        options.onNotice({ name: 'spool_lock_taken', level: 'info', detail })
      }
      const found = scanFolder(dir, files, options.sha256, options.onNotice)
      this.segments = found.segments
      this.#previous = found.previous
      this.#number = found.number
      this.bytes = found.segments.reduce((sum, segment) => sum + segment.end, 0)
      this.#sync = syncGroup(
        options.syncEveryMs,
        () => this.#syncAll(),
        (thrown) => this.#break(`the spool cannot be synced: ${messageOf(thrown)}`, thrown),
      )
      this.#begin()
      files.syncNow(this.#active.fd!)
      files.syncFolderNow(dir)
      for (const segment of [...this.segments]) {
        if (segment.closed && segment.last.size === 0) this.release(segment)
      }
    } catch (thrown) {
      this.#lock.release()
      if (thrown instanceof WritError) throw thrown
      throw unavailable(`the spool ${dir} cannot be opened: ${messageOf(thrown)}`, thrown)
    }
  }

  /** Where a producer's last epoch ended. */
  previous(producer: SpiffeId): Previous | undefined {
    return this.#previous.get(producer)
  }

  channel(producer: SpiffeId, epoch: Epoch): Channel {
    const number = ++this.#channelNumber
    const channel: Channel = { number, producer, epoch, next: 0, prev: noHash, declaredIn: 0 }
    this.#channels.add(channel)
    return channel
  }

  /** The epoch is over; its end stays on record for the producer's next one. */
  end(channel: Channel, ended: Previous['ended']): void {
    this.#channels.delete(channel)
    if (channel.next === 0) return
    this.#previous.set(channel.producer, { epoch: channel.epoch, seq: channel.next - 1, hash: channel.prev, ended })
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.#options.maxBytes - this.bytes
  }

  /** Bytes written since it was opened. */
  get written(): number {
    return this.#written
  }

  get unsynced(): number {
    return this.#written - this.#synced
  }

  /**
   * Writes records in one write and returns the point to wait for. Throws a WritError `audit_unavailable`, and then
   * none of them is in the spool.
   */
  append(records: readonly { readonly channel: Channel; readonly record: SealedRecord }[]): number {
    const { files, segmentBytes } = this.#options
    this.#mend()
    let size = 0
    for (const { record } of records) size += sizeOfRecord(record)
    if (size > this.room) throw unavailable(`the spool is full: ${this.bytes} of ${this.#options.maxBytes} bytes`)
    if (this.#active.end + size > segmentBytes && this.#active.last.size > 0) this.#rollOrRefuse()

    const segment = this.#active
    const undeclared = new Set<Channel>()
    for (const { channel } of records) if (channel.declaredIn !== segment.number) undeclared.add(channel)
    const declarations = [...undeclared].map((channel) => encodeDeclared(channel.number, channel))
    for (const declaration of declarations) size += declaration.length
    if (this.#buffer.length < size) this.#buffer = new Uint8Array(2 * size)
    let at = 0
    for (const declaration of declarations) {
      this.#buffer.set(declaration, at)
      at += declaration.length
    }
    const begins: number[] = []
    for (const { channel, record } of records) {
      begins.push(segment.end + at)
      at = writeRecord(this.#buffer, at, channel.number, record.leaf, record.beside)
    }
    try {
      writeAll(files, segment.fd!, this.#buffer, at, segment.end)
    } catch (thrown) {
      throw this.#takeBack(segment, thrown)
    }
    this.tail.add({ segment: segment.number, from: segment.end, to: segment.end + at, records, begins })
    segment.end += at
    this.bytes += at
    this.#written += at
    for (const channel of undeclared) channel.declaredIn = segment.number
    for (let i = 0; i < records.length; i++) {
      const { channel, record } = records[i]!
      if (channel.next === 0) this.#previous.delete(channel.producer)
      channel.next = record.seq + 1
      channel.prev = record.hash
      if (records[i + 1]?.channel === channel) continue // What follows at once is the last of its epoch, or is before it.
      const { producer, epoch } = channel
      segment.last.set(epoch, { producer, seq: record.seq, at: begins[i]!, length: record.leaf.length })
    }
    this.#sync.touched()
    return this.#written
  }

  /** Resolves once all up to `point` is on the disk; urgent ones do not wait for company. */
  synced(point: number, urgent: boolean): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken)
    if (point <= this.#synced) return Promise.resolve()
    return this.#sync.wait(point, urgent)
  }

  /** Resolves once all that was written so far is on the disk. */
  syncedAll(): Promise<void> {
    return this.synced(this.#written, true)
  }

  /** Closes the segment that is being written, where it holds anything, so that it can be released. */
  roll(): void {
    if (!this.#broken && this.#active.last.size > 0) this.#rollOrRefuse()
  }

  /** Reads a segment's bytes; the caller rests it when it has no more use for it. */
  async read(segment: Segment, into: Uint8Array, position: number): Promise<number> {
    if (this.#closed) throw unavailable('the spool is closed')
    segment.fd ??= this.#options.files.open(segment.path, false)
    const { fd } = segment
    this.#reading.set(fd, (this.#reading.get(fd) ?? 0) + 1)
    try {
      return await this.#options.files.read(fd, into, position)
    } finally {
      const others = this.#reading.get(fd)! - 1
      if (others > 0) this.#reading.set(fd, others)
      else this.#reading.delete(fd)
      if (others === 0 && this.#unwanted.delete(fd)) this.#options.files.close(fd)
    }
  }

  /** Whether nothing reads a segment any more: somebody deleted or replaced its file while it was closed. */
  isLost(segment: Segment): boolean {
    return segment.fd === undefined && this.#options.files.factsAt(segment.path)?.inode !== segment.inode
  }

  rest(segment: Segment): void {
    if (!segment.closed || segment.gone || segment.readable < segment.end || segment.fd === undefined) return
    this.#letGo(segment)
  }

  /** A descriptor that is being read is closed afterwards: its number would stand for another file by then. */
  #letGo(segment: Segment): void {
    const { fd } = segment
    segment.fd = undefined
    if (fd === undefined) return
    if (this.#reading.has(fd)) this.#unwanted.add(fd)
    else this.#options.files.close(fd)
  }

  /** Deletes a closed segment: everything in it is covered by a signed checkpoint, or it holds nothing. */
  release(segment: Segment): void {
    const { files } = this.#options
    this.#letGo(segment)
    if (files.factsAt(segment.path)?.inode === segment.inode) files.unlink(segment.path)
    this.segments.splice(this.segments.indexOf(segment), 1)
    this.bytes -= segment.end
  }

  async close(): Promise<void> {
    try {
      await this.syncedAll()
    } finally {
      await this.#sync.stop()
      this.#closed = true
      for (const segment of this.segments) this.#letGo(segment)
      this.#lock.release()
    }
  }

  /** A new segment, which declares every epoch that is open and quotes the end of every one that is not. */
  #begin(): void {
    const { dir, files, now } = this.#options
    const before = this.segments.findLast((segment) => segment.last.size > 0)
    const number = ++this.#number
    const path = join(dir, `${String(number).padStart(8, '0')}.seg`)
    const createdMs = Number(now() / 1_000_000n)
    const open = [...this.#channels].filter((channel) => channel.next > 0)
    const parts = [
      encodeHeader({ number, before: before?.number ?? 0, beforeEnd: before?.end ?? 0, createdMs }),
      ...[...this.#previous].map(([producer, previous]) => encodeEnded(producer, previous)),
      ...open.map((channel) => encodeDeclared(channel.number, channel)),
    ]
    const bytes = Buffer.concat(parts)
    const fd = files.create(path)
    try {
      writeAll(files, fd, bytes, bytes.length, 0)
      const { inode } = files.factsOf(fd)
      const state = { end: bytes.length, readable: headerBytes, closed: false, gone: false, last: new Map() }
      this.#active = { number, path, createdMs, inode, fd, ...state }
    } catch (thrown) {
      files.close(fd)
      quietly(() => files.unlink(path))
      throw thrown
    }
    for (const channel of open) channel.declaredIn = number
    this.segments.push(this.#active)
    this.bytes += bytes.length
    this.#written += bytes.length
    this.#sync.touched()
  }

  #roll(): void {
    const old = this.#active
    this.#begin()
    old.closed = true
    if (old.last.size === 0) quietly(() => this.release(old))
  }

  #rollOrRefuse(): void {
    try {
      this.#roll()
    } catch (thrown) {
      throw unavailable(`no new segment can be begun: ${messageOf(thrown)}`, thrown)
    }
  }

  /** After a failed write: cuts the file back, or gives the segment up where even that fails. */
  #takeBack(segment: Segment, thrown: unknown): WritError {
    const reason = `the spool cannot be written: ${messageOf(thrown)}`
    try {
      this.#options.files.truncate(segment.fd!, segment.end)
      return unavailable(reason, thrown)
    } catch {
      return this.#break(reason, thrown)
    }
  }

  /** Refuses everything until a new segment is on the disk. */
  #break(reason: string, cause: unknown): WritError {
    this.#broken = unavailable(reason, cause)
    this.#retryAtMs = this.#nowMs() + retryMs
    for (const segment of this.segments) segment.readable = segment.end // Cannot be told any more; checksums will.
    this.tail.clear()
    this.#synced = this.#written
    this.#sync.fail(this.#broken)
    return this.#broken
  }

  /** Throws while the spool is broken; tries once in a while to begin anew. */
  #mend(): void {
    if (!this.#broken) return
    if (this.#nowMs() < this.#retryAtMs) throw this.#broken
    this.#retryAtMs = this.#nowMs() + retryMs
    const { dir, files } = this.#options
    try {
      files.makeFolder(dir)
      if (!this.#lock.held()) this.#lock = lockFolder(dir, 'audit_unavailable')
      this.#roll()
      files.syncNow(this.#active.fd!)
      files.syncFolderNow(dir)
    } catch (thrown) {
      this.#broken = unavailable(`the spool is still unusable: ${messageOf(thrown)}`, thrown)
      throw this.#broken
    }
    this.#broken = undefined
  }

  async #syncAll(): Promise<number> {
    const { dir, files } = this.#options
    const point = this.#written
    if (this.#broken) throw this.#broken
    const dirty = this.segments.filter((segment) => segment.readable < segment.end)
    const ends = dirty.map((segment) => segment.end)
    for (const segment of dirty) this.#look(segment)
    if (dirty.some((segment) => segment.readable === headerBytes)) await files.syncFolder(dir)
    for (const segment of dirty) await files.sync(segment.fd!)
    if (this.#broken) throw this.#broken
    dirty.forEach((segment, i) => {
      segment.readable = ends[i]!
    })
    this.#synced = point
    this.onReadable()
    return point
  }

  /** A file that was deleted, replaced or cut under us would take records and lose them. */
  #look(segment: Segment): void {
    const { files } = this.#options
    const open = files.factsOf(segment.fd!)
    const named = files.factsAt(segment.path)
    segment.gone = open.links === 0 || named?.inode !== segment.inode
    if (segment.gone) throw new Error(`${segment.path} was deleted or replaced`)
    if (open.size < segment.end) throw new Error(`${segment.path} was cut short`)
  }

  #nowMs(): number {
    return Number(this.#options.now() / 1_000_000n)
  }
}

function writeAll(files: SpoolFiles, fd: number, bytes: Uint8Array, length: number, position: number): void {
  for (let from = 0; from < length; ) from += files.write(fd, bytes, from, length, position + from)
}

const unavailable = (message: string, cause?: unknown): WritError =>
  new WritError('audit_unavailable', message, {
    cure: 'Free space in the spool folder, or let the stream and the auditor catch up.',
    ...(cause !== undefined && { cause }),
  })

/** What is left behind is told apart when the spool is opened again. */
function quietly(act: () => void): void {
  try {
    act()
  } catch {}
}
