/**
 * One connection of HTTP/2 (RFC 9113), from either end: bytes come in by `receive`, streams speak with their users, and what
 * is to be sent is taken in one piece a turn. Whatever the other end does is bounded: docs/PARSER.md has the list.
 */

import type { Limits } from '../limits.ts'
import { FrameReader } from './frame-reader.ts'
import { defaultWindow, errorCode, frameType, maxStreamId, preface } from './frames.ts'
import type { HeaderList } from './hpack/decoder.ts'
import type { Latin1 } from './latin1.ts'
import { connectionWindow, maxListOf, Receiver, type ReceiverUser } from './receiver.ts'
import { Sender, type SenderUser } from './sender.ts'
import type { PeerSettings } from './settings.ts'
import type { Stream } from './stream.ts'
import { Streams } from './streams.ts'

export interface SessionOptions {
  /** Which end we are. */
  readonly role: 'server' | 'client'
  readonly limits: Limits
  /** Coarse time in milliseconds. */
  readonly nowMs: () => number
  /** Default our own. */
  readonly text?: Latin1
}

export interface SessionUser {
  /** A request, as far as its fields go; its body waits until the stream is resumed. Of a server alone. */
  onRequest?(stream: Stream, head: HeaderList, endsHere: boolean): void
  /** There may be room for another stream, or none any more. */
  onRoom?(): void
  /** There is something to take, where there was nothing. */
  onPending(): void
  /** Nothing is read any more. What is there to take is the last. */
  onOver(): void
}

/** Payload of the PING whose answer says that the peer has read our first GOAWAY. */
const drainPing = new Uint8Array([0x77, 0x72, 0x69, 0x74, 0x67, 0x6f, 0x6e, 0x65])

export class Session implements ReceiverUser, SenderUser {
  readonly #serves: boolean
  readonly #user: SessionUser
  readonly #reader: FrameReader
  readonly #receiver: Receiver
  readonly #sender: Sender
  readonly #streams: Streams
  #said = false
  over = false
  /** Whether no stream can be opened any more. */
  closing = false
  /** Whether no stream of the other end is looked at any more. */
  refuses = false
  /** Streams at a time that the other end takes. Default until it says so: as many as we do. */
  theirStreams: number

  constructor({ role, limits, nowMs, text }: SessionOptions, user: SessionUser) {
    const serves = role === 'server'
    this.#serves = serves
    this.#user = user
    this.theirStreams = limits.streams
    const sender = new Sender(this)
    const streams = new Streams(serves, limits.streamWindow, sender, () => this.closing && this.#endIfDone())
    this.#sender = sender
    this.#streams = streams
    this.#receiver = new Receiver({ serves, limits, nowMs, text, streams, sender }, this)
    this.#reader = new FrameReader(this.#receiver, serves)
    this.#begin(limits)
  }

  #begin(limits: Limits): void {
    const { out } = this.#sender
    const common = { initialWindowSize: limits.streamWindow, maxHeaderListSize: maxListOf(limits) }
    if (this.#serves) out.settings({ maxConcurrentStreams: limits.streams, enableConnectProtocol: 1, ...common })
    else {
      out.raw(preface)
      out.settings({ enablePush: 0, ...common })
    }
    out.number(frameType.windowUpdate, 0, connectionWindow - defaultWindow)
  }

  get streams(): number {
    return this.#streams.size
  }

  /** Bytes that came; they are ours from now on. */
  receive(bytes: Uint8Array): void {
    if (!this.over) this.#reader.read(bytes)
  }

  /** What is to be sent now, in pieces of which `reuse` takes each back. */
  take(): readonly Uint8Array[] {
    return this.#sender.take()
  }

  /** Whether the socket takes no more for now. */
  setBlocked(blocked: boolean): void {
    this.#sender.setBlocked(blocked)
  }

  /** Opens a stream, of a client. Undefined where none can be any more. */
  open(): Stream | undefined {
    const stream = this.closing ? undefined : this.#streams.openOurs()
    if (!stream) this.closing = true
    return stream
  }

  /** No further stream; those that are open end as they began. A server says so in two steps, so that none on its way is lost. */
  drain(): void {
    this.closing = true
    if (this.over || this.#said) return
    this.#said = true
    if (!this.#serves) {
      this.finishDrain()
      return
    }
    this.#sender.out.goaway(maxStreamId, errorCode.none)
    this.#sender.out.frame(frameType.ping, 0, 0, drainPing, 0, drainPing.length)
  }

  /** The peer has had its time to read the first GOAWAY (section 6.8). */
  finishDrain(): void {
    if (this.over || this.refuses) return
    this.refuses = true
    this.#sender.out.goaway(this.#streams.lastTheirs, errorCode.none)
    this.#endIfDone()
  }

  #endIfDone(): void {
    if (this.#streams.size === 0 && (this.refuses || !this.#serves)) this.#finish()
  }

  /** Ends the connection for an error, with a last word (section 5.4.1). */
  onFault(code: number): void {
    if (this.over) return
    this.#sender.out.goaway(this.#streams.lastTheirs, code)
    this.#finish()
  }

  /** The socket is gone. */
  lost(): void {
    this.#finish()
  }

  #finish(): void {
    if (this.over) return
    this.over = this.closing = true
    this.#streams.closeAll()
    this.#user.onOver()
  }

  onRequest(stream: Stream, head: HeaderList, endsHere: boolean): void {
    this.#user.onRequest?.(stream, head, endsHere)
  }

  onSettings({ maxConcurrentStreams }: PeerSettings): void {
    if (maxConcurrentStreams !== undefined) this.theirStreams = maxConcurrentStreams
    this.#user.onRoom?.()
  }

  onPong(payload: Uint8Array): void {
    if (this.#said && payload.every((byte, i) => byte === drainPing[i])) this.finishDrain()
  }

  /** A server opens no streams, so there is nothing that it could be refused. */
  onGoaway(lastId: number): void {
    if (this.#serves) return
    this.closing = true
    for (const stream of this.#streams.all()) {
      if (stream.id > lastId) this.#streams.remove(stream, errorCode.refused, false)
    }
    this.#endIfDone()
    if (!this.over) this.#user.onRoom?.()
  }

  onPending(): void {
    this.#user.onPending()
  }

  onSent(): void {
    this.#receiver.moved()
  }

  onLocalEnd(stream: Stream): void {
    this.#streams.localEnd(stream)
  }
}
