/** What leaves on a connection: frames in the order in which they are said, bodies as far as windows and socket allow. */

import { defaultWindow, errorCode, flag, frameType, maxFrameBytes, maxWindow } from './frames.ts'
import type { RawFields } from './head.ts'
import { Encoder } from './hpack/encoder.ts'
import { Outbox } from './outbox.ts'
import type { Stream } from './stream.ts'

/** Bytes that one turn sends of bodies; the rest goes on with the next. */
const maxTurnBytes = 262_144
/** Bytes that one stream sends before the next one's turn comes. */
const quantum = 32_768

export interface SenderUser {
  /** There is something to flush, where there was nothing. */
  onPending(): void
  /** All of a stream has been said. */
  onLocalEnd(stream: Stream): void
  /** Bytes of a body left. */
  onSent(): void
}

/** Blocks are encoded into it, one at a time. */
let scratch = new Uint8Array(4096)

const empty = new Uint8Array(0)

export class Sender {
  readonly #user: SenderUser
  readonly #encoder = new Encoder()
  readonly #outbox = new Outbox()
  /** Streams that have something to send, in the order of their turns. */
  #ready: Stream[] = []
  #window = defaultWindow
  #maxFrame = maxFrameBytes
  #pending = false
  /** Whether the socket takes no more for now. */
  #blocked = false

  constructor(user: SenderUser) {
    this.#user = user
  }

  /** Bytes that are to leave whatever windows say. */
  get backlog(): number {
    return this.#outbox.length
  }

  /** Where frames are put. */
  get out(): Outbox {
    this.#pend()
    return this.#outbox
  }

  #pend(): void {
    if (this.#pending) return
    this.#pending = true
    this.#user.onPending()
  }

  tableSize(bytes: number): void {
    this.#encoder.resize(bytes)
  }

  /** Never more than what we take ourselves: a long frame keeps others waiting. */
  frameSize(bytes: number): void {
    this.#maxFrame = Math.min(bytes, maxFrameBytes)
  }

  block(id: number, fields: RawFields, endStream: boolean, secret?: readonly string[]): void {
    const most = Encoder.most(fields)
    if (most <= this.#maxFrame) {
      this.out.shortBlock(id, endStream, most, (piece, at) => this.#encoder.encode(fields, piece, at, secret))
      return
    }
    if (most > scratch.length) scratch = new Uint8Array(2 * most)
    const length = this.#encoder.encode(fields, scratch, 0, secret)
    this.out.block(id, endStream, scratch, length, this.#maxFrame)
  }

  push(stream: Stream): void {
    if (stream.ready) return
    stream.ready = true
    this.#ready.push(stream)
    this.#pend()
  }

  /** The other end takes more of all streams. False where that is more than a window holds. */
  widen(bytes: number): boolean {
    this.#window += bytes
    if (this.#ready.length > 0) this.#pend()
    return this.#window <= maxWindow
  }

  /** The same of one stream. */
  widenStream(stream: Stream, bytes: number): boolean {
    stream.sendWindow += bytes
    if (bytes > 0 && (stream.out.length > 0 || stream.ending)) this.push(stream)
    return stream.sendWindow <= maxWindow
  }

  /** What leaves now, in pieces. */
  take(): readonly Uint8Array[] {
    this.#pending = false
    this.#compose()
    return this.#outbox.take()
  }

  /** `blocked`: the socket takes no more bodies for now. */
  setBlocked(blocked: boolean): void {
    this.#blocked = blocked
    if (!blocked && this.#ready.length > 0) this.#pend()
  }

  #compose(): void {
    const streams = this.#ready
    if (streams.length === 0 || this.#blocked) return
    this.#ready = []
    const waiting: Stream[] = []
    let turn: readonly Stream[] = streams
    while (turn.length > 0) {
      const again: Stream[] = []
      for (const stream of turn) {
        const left = this.#outbox.length >= maxTurnBytes ? 'waits' : this.#send(stream)
        if (left === 'again') again.push(stream)
        else if (left === 'waits') waiting.push(stream)
        else stream.ready = false
      }
      turn = again
    }
    // What became ready meanwhile waits for the next turn.
    this.#ready = this.#ready.length === 0 ? waiting : [...waiting, ...this.#ready]
    if (waiting.length > 0 && this.#window > 0) this.#pend()
    // Only now: a user may write more at once.
    for (const stream of streams) stream.sent()
  }

  /** `waits`: for the connection. `done`: there is nothing more, or its own window is used up. */
  #send(stream: Stream): 'again' | 'waits' | 'done' {
    if (stream.closed) return 'done'
    const { out, id } = stream
    let sent = 0
    let ended = false
    while (out.length > 0) {
      if (sent >= quantum) return 'again'
      if (stream.sendWindow <= 0) return 'done'
      if (this.#window <= 0) return 'waits'
      const bytes = out.take(Math.min(this.#window, stream.sendWindow, this.#maxFrame))!
      ended = stream.ending && out.length === 0 && stream.trailers.length === 0
      this.#outbox.frame(frameType.data, ended ? flag.endStream : 0, id, bytes, 0, bytes.length)
      this.#window -= bytes.length
      stream.sendWindow -= bytes.length
      sent += bytes.length
    }
    if (sent > 0) this.#user.onSent()
    if (!stream.ending || stream.localEnded) return 'done'
    if (stream.trailers.length > 0) this.block(id, stream.trailers, true)
    else if (!ended) this.#outbox.frame(frameType.data, flag.endStream, id, empty, 0, 0)
    stream.localEnded = true
    this.#user.onLocalEnd(stream)
    return 'done'
  }

  reset(id: number, code: number = errorCode.cancel): void {
    this.out.number(frameType.reset, id, code)
  }
}
