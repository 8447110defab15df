/** One stream: what came and waits for its user, what its user said and waits for a window, and who has said all. */

import { ByteQueue } from './byte-queue.ts'
import { errorCode } from './frames.ts'
import type { RawFields } from './head.ts'
import type { HeaderList } from './hpack/decoder.ts'

/** Who listens to a stream. After `onClose` nothing more is heard. */
export interface StreamUser {
  /** The head of an answer, interim ones among them. Of streams that we opened alone. */
  onHead?(head: HeaderList, endsHere: boolean): void
  /** `bytes` are the listener's to keep. Nothing comes while the stream is paused, as each is at first. */
  onData(bytes: Uint8Array): void
  /** The other end has said all. */
  onEnd(trailers: RawFields): void
  /** After a `write` that was false: more may be written. */
  onDrain(): void
  /** The stream is over. `code`: why, where it is broken off (RFC 9113 section 7); undefined where both have said all. */
  onClose(code: number | undefined): void
}

/** What a stream asks of its session. */
export interface StreamHost {
  head(stream: Stream, fields: RawFields, endStream: boolean, secret: readonly string[] | undefined): void
  /** There is something in `out` to be sent, or an end. It leaves with all else that this turn brings. */
  push(stream: Stream): void
  /** Bytes of the body went on: the other end may send as many. */
  consumed(stream: Stream, bytes: number): void
  reset(stream: Stream, code: number): void
}

/** Bytes that a user may write before it has to wait. */
const highWater = 65_536

export class Stream {
  readonly id: number
  readonly #host: StreamHost
  user: StreamUser | undefined
  /** Bytes that we may send, and that the other end may. */
  sendWindow: number
  receiveWindow: number
  /** Consumed, and not yet granted again. */
  owed = 0
  /** What waits for a window. */
  readonly out: ByteQueue = new ByteQueue()
  /** What is said behind it, once `ending`. */
  trailers: RawFields = []
  ending = false
  /** Code that the stream is reset with once its end is sent, whatever is still to come of it. Default none. */
  afterEnd: number | undefined
  localEnded = false
  remoteEnded = false
  closed = false
  /** Whether a head came that is not interim. */
  begun = false
  /** Whether the session knows that it has something to send. */
  ready = false
  #waits = false
  readonly #held = new ByteQueue()
  #flowing = false
  #received: RawFields = []
  #delivers = false
  /** Whether the user has heard that the other end has said all, and that the stream is over. */
  #endTold = false
  #closeTold = false

  constructor(id: number, host: StreamHost, sendWindow: number, receiveWindow: number) {
    this.id = id
    this.#host = host
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
  }

  /** A head: an interim one, the one of an answer, or of an answer that is all there is. */
  sendHead(fields: RawFields, endStream = false, secret?: readonly string[]): void {
    if (!this.closed && !this.localEnded) this.#host.head(this, fields, endStream, secret)
  }

  /** False where the user has to wait for `onDrain`. */
  write(bytes: Uint8Array): boolean {
    if (this.closed || this.ending || this.localEnded || bytes.length === 0) return true
    this.out.push(bytes)
    this.#host.push(this)
    this.#waits = this.out.length > highWater
    return !this.#waits
  }

  /** Of the session: some of it has left. */
  sent(): void {
    if (!this.#waits || this.closed || this.out.length > highWater / 2) return
    this.#waits = false
    this.user?.onDrain()
  }

  /** All is said. */
  end(trailers: RawFields = []): void {
    if (this.closed || this.ending || this.localEnded) return
    this.ending = true
    this.trailers = trailers
    this.#host.push(this)
  }

  /** Breaks it off; what came of it and was not heard is gone. */
  reset(code: number = errorCode.cancel): void {
    if (!this.closed) this.#host.reset(this, code)
    else if (!this.#closeTold) {
      this.#held.clear()
      this.#tellClose(undefined)
    }
  }

  pause(): void {
    this.#flowing = false
  }

  resume(): void {
    this.#flowing = true
    this.#deliver()
  }

  /** Of the session: a part of the body came. */
  receive(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (!this.#flowing || this.#delivers || this.#held.length > 0) {
      this.#held.push(bytes)
      return
    }
    this.user?.onData(bytes)
    this.#host.consumed(this, bytes.length)
  }

  /** Of the session: the other end has said all. */
  receiveEnd(trailers: RawFields): void {
    this.remoteEnded = true
    this.#received = trailers
    this.#deliver()
  }

  /** Never from within itself: a user that resumes while it is given something gets the rest afterwards. */
  #deliver(): void {
    if (this.#delivers) return
    this.#delivers = true
    while (this.#flowing && !this.#closeTold) {
      const bytes = this.#held.take(Infinity)
      if (!bytes) break
      this.user?.onData(bytes)
      this.#host.consumed(this, bytes.length)
    }
    this.#delivers = false
    if (!this.remoteEnded || this.#endTold || !this.#flowing || this.#held.length > 0 || this.#closeTold) return
    this.#endTold = true
    this.user?.onEnd(this.#received)
    if (this.closed) this.#tellClose(undefined)
  }

  /** Of the session: it is over. What came before both had said all is still given. */
  close(code: number | undefined): void {
    if (this.closed) return
    this.closed = true
    this.out.clear()
    if (code === undefined && !this.#endTold) return
    this.#held.clear()
    this.#tellClose(code)
  }

  #tellClose(code: number | undefined): void {
    if (this.#closeTold) return
    this.#closeTold = true
    this.user?.onClose(code)
  }
}
