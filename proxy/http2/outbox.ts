/** Frames that leave in one piece: what one turn of the event loop has to say on a connection. */

import { flag, frameHeadBytes, frameType, setting } from './frames.ts'

/** Bytes of one piece. */
const pieceBytes = 65_536
/** Bytes that are copied one by one. */
const byHand = 64
/** Pieces that were sent and wait for the next connection that has something to say, whichever it is. */
const spares: Uint8Array[] = []
const maxSpares = 16

/** Gives a piece back, once it has been sent. */
export function reuse(piece: Uint8Array): void {
  if (piece.buffer.byteLength !== pieceBytes || spares.length >= maxSpares) return
  spares.push(new Uint8Array(piece.buffer))
}

export class Outbox {
  #full: Uint8Array[] = []
  #fullBytes = 0
  #piece: Uint8Array | undefined
  #at = 0

  /** Bytes that wait. */
  get length(): number {
    return this.#fullBytes + this.#at
  }

  /** All of it, which is the taker's now. */
  take(): readonly Uint8Array[] {
    if (this.#piece && this.#at > 0) this.#full.push(this.#piece.subarray(0, this.#at))
    const taken = this.#full
    this.#full = []
    this.#fullBytes = 0
    this.#piece = undefined
    this.#at = 0
    return taken
  }

  /** Room for so many bytes in a row, at `at`. */
  #room(bytes: number): Uint8Array {
    if (this.#piece && this.#piece.length - this.#at >= bytes) return this.#piece
    if (this.#piece) {
      this.#full.push(this.#piece.subarray(0, this.#at))
      this.#fullBytes += this.#at
    }
    this.#at = 0
    this.#piece = bytes > pieceBytes ? new Uint8Array(bytes) : (spares.pop() ?? new Uint8Array(pieceBytes))
    return this.#piece
  }

  #head(piece: Uint8Array, type: number, flags: number, id: number, length: number): void {
    let at = this.#at
    piece[at++] = length >> 16
    piece[at++] = length >> 8
    piece[at++] = length
    piece[at++] = type
    piece[at++] = flags
    this.#at = putUint32(piece, at, id)
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length).set(bytes, this.#at)
    this.#at += bytes.length
  }

  frame(type: number, flags: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    const piece = this.#room(frameHeadBytes + to - from)
    this.#head(piece, type, flags, id, to - from)
    this.#copy(piece, bytes, from, to)
  }

  #copy(piece: Uint8Array, bytes: Uint8Array, from: number, to: number): void {
    // A call into native code costs more than a few bytes.
    if (to - from <= byHand) for (let i = from; i < to; i++) piece[this.#at + i - from] = bytes[i]!
    else piece.set(to - from === bytes.length ? bytes : bytes.subarray(from, to), this.#at)
    this.#at += to - from
  }

  /** RFC 9113 sections 6.4 and 6.9: a number on a stream. */
  number(type: typeof frameType.reset | typeof frameType.windowUpdate, id: number, value: number): void {
    const piece = this.#room(frameHeadBytes + 4)
    this.#head(piece, type, 0, id, 4)
    this.#at = putUint32(piece, this.#at, value)
  }

  /** A block of fields in one frame, which `write` puts in place. It gives where it ends; `most`: bytes that it may take. */
  shortBlock(id: number, endStream: boolean, most: number, write: (piece: Uint8Array, at: number) => number): void {
    const piece = this.#room(frameHeadBytes + most)
    const headAt = this.#at
    const end = write(piece, headAt + frameHeadBytes)
    const flags = flag.endHeaders | (endStream ? flag.endStream : 0)
    this.#head(piece, frameType.headers, flags, id, end - headAt - frameHeadBytes)
    this.#at = end
  }

  /** A block of fields, cut into as many frames as the other end's longest one takes (section 4.3). */
  block(id: number, endStream: boolean, block: Uint8Array, length: number, maxFrame: number): void {
    let from = 0
    do {
      const to = Math.min(length, from + maxFrame)
      const ends = to === length ? flag.endHeaders : 0
      if (from === 0) this.frame(frameType.headers, ends | (endStream ? flag.endStream : 0), id, block, 0, to)
      else this.frame(frameType.continuation, ends, id, block, from, to)
      from = to
    } while (from < length)
  }

  settings(values: Readonly<Partial<Record<keyof typeof setting, number>>>): void {
    const names = Object.keys(values) as (keyof typeof setting)[]
    const piece = this.#room(frameHeadBytes + 6 * names.length)
    this.#head(piece, frameType.settings, 0, 0, 6 * names.length)
    for (const name of names) {
      piece[this.#at] = 0
      piece[this.#at + 1] = setting[name]
      this.#at = putUint32(piece, this.#at + 2, values[name]!)
    }
  }

  goaway(lastId: number, code: number): void {
    const piece = this.#room(frameHeadBytes + 8)
    this.#head(piece, frameType.goaway, 0, 0, 8)
    this.#at = putUint32(piece, putUint32(piece, this.#at, lastId), code)
  }
}

function putUint32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >> 16
  bytes[at + 2] = value >> 8
  bytes[at + 3] = value
  return at + 4
}
