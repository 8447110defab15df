/** The streams of one connection: those that are open, the windows that they begin with, and how they end. */

import { ClosedStreams } from './closed-streams.ts'
import { defaultWindow, errorCode, frameType, maxStreamId } from './frames.ts'
import type { RawFields } from './head.ts'
import type { Sender } from './sender.ts'
import { Stream, type StreamHost } from './stream.ts'
import { StreamTable } from './stream-table.ts'

export class Streams implements StreamHost {
  readonly #serves: boolean
  readonly #window: number
  readonly #sender: Sender
  readonly #onClosed: () => void
  readonly #open = new StreamTable<Stream>()
  readonly #closed = new ClosedStreams()
  /** What the other end said, and what it knows of ours: until it has acknowledged that, the default where it is more. */
  #theirWindow = defaultWindow
  #ourWindow: number
  /** Highest that the other end opened, and next that we do. */
  lastTheirs = 0
  #nextOurs = 1

  /** `window`: body bytes that each may bring ahead. `onClosed`: one stream less. */
  constructor(serves: boolean, window: number, sender: Sender, onClosed: () => void) {
    this.#serves = serves
    this.#window = window
    this.#sender = sender
    this.#onClosed = onClosed
    this.#ourWindow = Math.max(window, defaultWindow)
  }

  get size(): number {
    return this.#open.size
  }

  get(id: number): Stream | undefined {
    return this.#open.get(id)
  }

  all(): Stream[] {
    return this.#open.all()
  }

  /** Undefined once all numbers are used up. */
  openOurs(): Stream | undefined {
    const id = this.#nextOurs
    if (id > maxStreamId) return undefined
    this.#nextOurs += 2
    return this.#add(id)
  }

  openTheirs(id: number): Stream {
    this.lastTheirs = id
    const stream = this.#add(id)
    stream.begun = true
    return stream
  }

  #add(id: number): Stream {
    const stream = new Stream(id, this, this.#theirWindow, this.#ourWindow)
    this.#open.add(stream)
    return stream
  }

  /** Why there is no such stream: `idle` was never opened, `late` is one that we reset, and `ended` one of which nothing may come. */
  lost(id: number): 'idle' | 'late' | 'ended' {
    const opened = id % 2 === 1 && (this.#serves ? id <= this.lastTheirs : id < this.#nextOurs)
    const state = opened ? this.#closed.of(id) : 'never'
    return state === 'never' ? 'idle' : state
  }

  /** A stream of the other end that never became one of ours. */
  pass(id: number): void {
    this.lastTheirs = Math.max(this.lastTheirs, id)
    this.#closed.add(id, true)
  }

  /** `code` and `byUs`: as streams hear it, and whether more may come of it before the other end knows. */
  remove(stream: Stream, code: number | undefined, byUs: boolean): void {
    if (!this.#open.delete(stream.id)) return
    this.#closed.add(stream.id, byUs)
    stream.close(code)
    this.#onClosed()
  }

  /** The connection is over. */
  closeAll(): void {
    const streams = this.all()
    this.#open.clear()
    for (const stream of streams) stream.close(errorCode.cancel)
  }

  /** Our settings hold from here. */
  acknowledged(): void {
    const more = this.#window - this.#ourWindow
    this.#ourWindow = this.#window
    for (const stream of this.all()) stream.receiveWindow += more
  }

  /** The other end's settings (RFC 9113 section 6.9.2). False where a window grows beyond what one holds. */
  setTheirWindow(bytes: number): boolean {
    const more = bytes - this.#theirWindow
    this.#theirWindow = bytes
    for (const stream of this.all()) if (!this.#sender.widenStream(stream, more)) return false
    return true
  }

  head(stream: Stream, fields: RawFields, endStream: boolean, secret: readonly string[] | undefined): void {
    this.#sender.block(stream.id, fields, endStream, secret)
    if (!endStream) return
    stream.localEnded = true
    this.localEnd(stream)
  }

  push(stream: Stream): void {
    this.#sender.push(stream)
  }

  consumed(stream: Stream, bytes: number): void {
    stream.owed += bytes
    if (stream.owed < this.#window / 2 || stream.remoteEnded || stream.closed) return
    stream.receiveWindow += stream.owed
    this.#sender.out.number(frameType.windowUpdate, stream.id, stream.owed)
    stream.owed = 0
  }

  reset(stream: Stream, code: number): void {
    this.#sender.reset(stream.id, code)
    this.remove(stream, code, true)
  }

  /** All of it is said. RFC 9113 section 8.1: a server that has said all wants no more of the request. */
  localEnd(stream: Stream): void {
    const { afterEnd, remoteEnded } = stream
    const code = afterEnd ?? (this.#serves && !remoteEnded ? errorCode.none : undefined)
    if (code !== undefined) this.#sender.reset(stream.id, code)
    if (code !== undefined || remoteEnded) this.remove(stream, undefined, code !== undefined)
  }
}
