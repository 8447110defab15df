/** What comes on a connection, by the states that RFC 9113 section 5.1 knows; whoever breaks them is reset or cut. */

import type { Limits } from '../limits.ts'
import { type Block, Blocks } from './blocks.ts'
import { Budget } from './budget.ts'
import type { FrameUser } from './frame-reader.ts'
import { errorCode, flag, frameType, readId, readUint32 } from './frames.ts'
import { isLowerToken, type RawFields } from './head.ts'
import { Decoder, type HeaderList } from './hpack/decoder.ts'
import type { Latin1 } from './latin1.ts'
import type { Sender } from './sender.ts'
import { type PeerSettings, readSettings } from './settings.ts'
import type { Stream } from './stream.ts'
import type { Streams } from './streams.ts'

export interface ReceiverOptions {
  readonly serves: boolean
  readonly limits: Limits
  readonly nowMs: () => number
  readonly text: Latin1 | undefined
  readonly streams: Streams
  readonly sender: Sender
}

/** What a receiver tells its session. */
export interface ReceiverUser {
  readonly over: boolean
  /** Whether streams are no longer looked at. */
  readonly refuses: boolean
  onRequest(stream: Stream, head: HeaderList, endsHere: boolean): void
  onSettings(settings: PeerSettings): void
  /** The answer to a PING of ours. */
  onPong(payload: Uint8Array): void
  onGoaway(lastId: number): void
  onFault(code: number): void
}

/** Bytes of all streams that may come before more are granted. Each is granted at once: what is held is the streams' own. */
export const connectionWindow = 1_048_576
/** Bytes of frames that a peer may leave unread. */
const maxBacklog = 1_048_576

export class Receiver implements FrameUser {
  readonly #serves: boolean
  readonly #limits: Limits
  readonly #user: ReceiverUser
  readonly #streams: Streams
  readonly #sender: Sender
  readonly #blocks: Blocks
  readonly #budget: Budget
  #acknowledged = false
  #window = connectionWindow
  #owed = 0
  #data: Stream | undefined
  #dataBytes = 0

  constructor({ serves, limits, nowMs, text, streams, sender }: ReceiverOptions, user: ReceiverUser) {
    this.#serves = serves
    this.#limits = limits
    this.#user = user
    this.#streams = streams
    this.#sender = sender
    this.#budget = new Budget(limits, nowMs)
    const maxListBytes = maxListOf(limits)
    const decoder = new Decoder({ maxListBytes, maxFields: 2 * limits.headFields, ...(text && { text }) })
    this.#blocks = new Blocks(decoder, maxListBytes)
  }

  get over(): boolean {
    return this.#user.over
  }

  get blockOf(): number {
    return this.#blocks.open
  }

  /** Bytes of a body left: whoever answers for it moves something. */
  moved(): void {
    this.#budget.moved()
  }

  onFault(code: number): void {
    this.#user.onFault(code)
  }

  onDataBegins(id: number, length: number): boolean {
    this.#window -= length
    if (this.#window < 0) {
      this.onFault(errorCode.flowControl)
      return false
    }
    this.#owed += length
    if (this.#owed >= connectionWindow / 2) {
      this.#window += this.#owed
      this.#sender.out.number(frameType.windowUpdate, 0, this.#owed)
      this.#owed = 0
    }
    const stream = this.#streams.get(id)
    if (!stream) {
      this.#onLost(id)
      return false
    }
    stream.receiveWindow -= length
    const code = dataFault(stream)
    if (code !== 0) this.#blame(id, code)
    this.#data = stream
    this.#dataBytes = length
    return code === 0
  }

  onData(_: number, bytes: Uint8Array, last: boolean, flags: number): void {
    const stream = this.#data!
    const ends = last && (flags & flag.endStream) !== 0
    if (bytes.length > 0 || ends) this.#budget.moved()
    else if (last && this.#isIdle()) return
    if (stream.closed) return
    // What pads it is nobody's to take.
    if ((flags & flag.padded) !== 0) this.#streams.consumed(stream, this.#dataBytes - bytes.length)
    stream.receive(bytes)
    if (ends && !stream.closed) this.#endRemote(stream, [])
  }

  onFrame(type: number, flags: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (type === frameType.headers || type === frameType.continuation) {
      const block = this.#blocks.add(type, flags, id, bytes, from, to)
      if (typeof block === 'number') this.onFault(block)
      else if (block) this.#onBlock(block)
      return
    }
    if (type === frameType.reset) {
      this.#onReset(id, readUint32(bytes, from))
      return
    }
    if (this.#isIdle()) return
    const acknowledges = (flags & flag.ack) !== 0
    switch (type) {
      case frameType.windowUpdate:
        this.#onWindow(id, readId(bytes, from))
        break
      case frameType.settings:
        this.#onSettings(acknowledges, bytes, from, to)
        break
      case frameType.ping:
        if (acknowledges) this.#user.onPong(bytes.subarray(from, to))
        else this.#sender.out.frame(frameType.ping, flag.ack, 0, bytes, from, to)
        break
      case frameType.goaway:
        this.#user.onGoaway(readId(bytes, from))
        break
      case frameType.priority: {
        const code = to - from !== 5 ? errorCode.frameSize : readId(bytes, from) === id ? errorCode.protocol : 0
        if (code !== 0) this.#blame(id, code)
      }
    }
  }

  #onBlock({ id, endStream, onItself, list }: Block): void {
    const stream = this.#streams.get(id)
    if (stream && !onItself) this.#onNextBlock(stream, list, endStream)
    else if (stream) this.#blame(id, errorCode.protocol)
    else if (!this.#serves || id % 2 === 0 || id <= this.#streams.lastTheirs) this.#onLost(id)
    else if (this.#user.refuses)
      this.#isIdle() // Whoever sent it knows to send it elsewhere.
    else this.#onOpened(id, list, endStream, onItself)
  }

  #onOpened(id: number, list: HeaderList, endStream: boolean, onItself: boolean): void {
    const crowded = this.#streams.size >= this.#limits.streams
    if (onItself || crowded) {
      this.#streams.pass(id)
      this.#blame(id, crowded ? errorCode.refused : errorCode.protocol)
      return
    }
    if (this.#sender.backlog > maxBacklog) {
      this.onFault(errorCode.enhanceYourCalm)
      return
    }
    this.#budget.moved()
    const stream = this.#streams.openTheirs(id)
    this.#user.onRequest(stream, list, endStream)
    if (endStream && !stream.closed) this.#endRemote(stream, [])
  }

  /** An answer's head, or trailers of either. */
  #onNextBlock(stream: Stream, list: HeaderList, endStream: boolean): void {
    const { fields, whole } = list
    if (stream.remoteEnded) this.#blame(stream.id, errorCode.streamClosed)
    else if (stream.begun) {
      if (!endStream || !whole || !areTrailers(fields)) this.#blame(stream.id, errorCode.protocol)
      else this.#endRemote(stream, fields)
    } else this.#onAnswer(stream, list, endStream)
  }

  #onAnswer(stream: Stream, list: HeaderList, endStream: boolean): void {
    const interim = isInterim(list.fields)
    if (interim && endStream) {
      this.#blame(stream.id, errorCode.protocol)
      return
    }
    if (!interim) this.#budget.moved()
    else if (this.#isIdle()) return
    stream.begun = !interim
    stream.user?.onHead?.(list, endStream)
    if (endStream && !stream.closed) this.#endRemote(stream, [])
  }

  #endRemote(stream: Stream, trailers: RawFields): void {
    this.#budget.moved()
    stream.receiveEnd(trailers)
    if (stream.localEnded) this.#streams.remove(stream, undefined, false)
  }

  #onReset(id: number, code: number): void {
    const stream = this.#streams.get(id)
    if (!stream) {
      this.#onLost(id)
      return
    }
    // Of an answer that is whole, the rest of the request is meant (RFC 9113 section 8.1).
    this.#streams.remove(stream, !this.#serves && stream.remoteEnded ? undefined : code, false)
    this.#countReset()
  }

  #onWindow(id: number, bytes: number): void {
    if (id === 0) {
      if (bytes === 0) this.onFault(errorCode.protocol)
      else if (!this.#sender.widen(bytes)) this.onFault(errorCode.flowControl)
      return
    }
    const stream = this.#streams.get(id)
    if (!stream) {
      if (this.#lost(id) === 'idle') this.onFault(errorCode.protocol)
    } else if (bytes === 0) this.#blame(id, errorCode.protocol)
    else if (!this.#sender.widenStream(stream, bytes)) this.#blame(id, errorCode.flowControl)
  }

  #onSettings(acknowledges: boolean, bytes: Uint8Array, from: number, to: number): void {
    if (acknowledges) {
      if (!this.#acknowledged) this.#streams.acknowledged()
      this.#acknowledged = true
      return
    }
    const said = readSettings(bytes, from, to, !this.#serves)
    if (typeof said === 'number') {
      this.onFault(said)
      return
    }
    if (said.headerTableSize !== undefined) this.#sender.tableSize(said.headerTableSize)
    if (said.maxFrameSize !== undefined) this.#sender.frameSize(said.maxFrameSize)
    if (said.initialWindowSize !== undefined && !this.#streams.setTheirWindow(said.initialWindowSize)) {
      this.onFault(errorCode.flowControl)
      return
    }
    this.#sender.out.frame(frameType.settings, flag.ack, 0, bytes, from, from)
    this.#user.onSettings(said)
  }

  /** What follows a request that came after our last GOAWAY is as late as that. */
  #lost(id: number): 'idle' | 'late' | 'ended' {
    const state = this.#streams.lost(id)
    return state === 'idle' && this.#user.refuses && id % 2 === 1 ? 'late' : state
  }

  /** A frame of a stream that is not there. */
  #onLost(id: number): void {
    const state = this.#lost(id)
    if (state === 'late') this.#isIdle()
    else this.onFault(state === 'idle' ? errorCode.protocol : errorCode.streamClosed)
  }

  /** One more frame that moves nothing; whether it was one too many. */
  #isIdle(): boolean {
    if (this.#budget.idle() && this.#sender.backlog <= maxBacklog) return false
    this.onFault(errorCode.enhanceYourCalm)
    return true
  }

  /** An error of a stream (section 5.4.2). The peer's fault, so it counts as if the peer had reset it (CVE-2025-8671). */
  #blame(id: number, code: number): void {
    this.#sender.reset(id, code)
    const stream = this.#streams.get(id)
    if (stream) this.#streams.remove(stream, code, true)
    this.#countReset()
  }

  /** What a server's streams end in is its own affair. */
  #countReset(): void {
    if (this.#serves && !this.#budget.reset()) this.onFault(errorCode.enhanceYourCalm)
  }
}

/** Twice what is served, so that a head which is somewhat too large gets an answer and a record. */
export const maxListOf = ({ headBytes }: Pick<Limits, 'headBytes'>): number => 2 * headBytes

function dataFault({ remoteEnded, begun, receiveWindow }: Stream): number {
  if (remoteEnded) return errorCode.streamClosed
  if (!begun) return errorCode.protocol
  return receiveWindow < 0 ? errorCode.flowControl : 0
}

const isInterim = (fields: RawFields): boolean => fields[0] === ':status' && fields[1]!.startsWith('1')

/** Section 8.1: names as anywhere, and none of them a pseudo field. */
function areTrailers(fields: RawFields): boolean {
  for (let i = 0; i < fields.length; i += 2) if (!isLowerToken(fields[i]!)) return false
  return true
}
