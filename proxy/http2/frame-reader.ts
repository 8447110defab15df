/**
 * Cuts what a connection brings into frames. A whole frame is read where it stands; the body of a DATA frame goes on as it
 * comes; of any other one that is not all there, what came is kept, never more than the longest frame.
 */

import { errorCode, flag, frameHeadBytes, frameType, headFault, preface, readId } from './frames.ts'

export interface FrameUser {
  /** True once nothing more is read. */
  readonly over: boolean
  /** The stream whose header block goes on, or 0: no other frame may stand in between (RFC 9113 section 4.3). */
  readonly blockOf: number
  /** A frame of DATA begins. False where it is to be skipped. */
  onDataBegins(id: number, length: number): boolean
  /** A part of its body; `last`: the end of the frame. */
  onData(id: number, bytes: Uint8Array, last: boolean, flags: number): void
  /** Any other frame, its payload from `from` to `to`. */
  onFrame(type: number, flags: number, id: number, bytes: Uint8Array, from: number, to: number): void
  /** What came is no HTTP/2: an error of the connection. */
  onFault(code: number): void
}

export class FrameReader {
  readonly #user: FrameUser
  /** Bytes of the preface that are still to come. */
  #prefaceLeft: number
  #settled = false
  /** Of a head or payload that is not all there. */
  readonly #head = new Uint8Array(frameHeadBytes)
  #headBytes = 0
  #payload: Uint8Array | undefined
  #payloadBytes = 0
  #type = 0
  #flags = 0
  #id = 0
  #length = 0
  /** Of the body of a DATA frame, or -1. */
  #dataLeft = -1
  #skips = false

  /** `expectsPreface`: whether the other end is a client. */
  constructor(user: FrameUser, expectsPreface: boolean) {
    this.#user = user
    this.#prefaceLeft = expectsPreface ? preface.length : 0
  }

  /** `bytes` are the user's to keep. */
  read(bytes: Uint8Array): void {
    let at = this.#prefaceLeft > 0 ? this.#readPreface(bytes) : 0
    while (!this.#user.over && at < bytes.length) {
      if (this.#dataLeft >= 0) at = this.#readData(bytes, at)
      else if (this.#payload) at = this.#gather(bytes, at, this.#payload)
      else at = this.#readHead(bytes, at)
    }
  }

  #readPreface(bytes: Uint8Array): number {
    let at = 0
    for (; at < bytes.length && this.#prefaceLeft > 0; at++, this.#prefaceLeft--) {
      if (bytes[at] === preface[preface.length - this.#prefaceLeft]) continue
      this.#user.onFault(errorCode.protocol)
      break
    }
    return at
  }

  #readHead(bytes: Uint8Array, from: number): number {
    if (this.#headBytes === 0 && bytes.length - from >= frameHeadBytes) {
      return this.#begin(bytes, from, bytes, from + frameHeadBytes)
    }
    let at = from
    while (at < bytes.length && this.#headBytes < frameHeadBytes) this.#head[this.#headBytes++] = bytes[at++]!
    if (this.#headBytes < frameHeadBytes) return at
    this.#headBytes = 0
    return this.#begin(this.#head, 0, bytes, at)
  }

  /** The frame's head stands in `head`, what follows it in `bytes`. */
  #begin(head: Uint8Array, headAt: number, bytes: Uint8Array, at: number): number {
    const length = (head[headAt]! << 16) | (head[headAt + 1]! << 8) | head[headAt + 2]!
    const type = head[headAt + 3]!
    const flags = head[headAt + 4]!
    const id = readId(head, headAt + 5)
    const fault = this.#faultOf(type, flags, id, length)
    if (fault !== 0) {
      this.#user.onFault(fault)
      return at
    }
    this.#type = type
    this.#flags = flags
    this.#id = id
    this.#length = length
    if (type === frameType.data) {
      this.#skips = !this.#user.onDataBegins(id, length)
      if (this.#skips || (flags & flag.padded) === 0) {
        this.#dataLeft = length
        return length === 0 && !this.#user.over ? this.#readData(bytes, at) : at
      }
    }
    if (bytes.length - at >= length) {
      this.#whole(bytes, at, at + length)
      return at + length
    }
    this.#payload = new Uint8Array(Math.min(length, Math.max(256, bytes.length - at)))
    this.#payloadBytes = 0
    return at
  }

  #faultOf(type: number, flags: number, id: number, length: number): number {
    const fault = headFault(type, flags, id, length)
    if (fault !== 0) return fault
    const first = !this.#settled
    this.#settled = true
    if (first && (type !== frameType.settings || (flags & flag.ack) !== 0)) return errorCode.protocol // Section 3.4.
    const { blockOf } = this.#user
    const goesOn = type === frameType.continuation ? id === blockOf : blockOf === 0
    return goesOn ? 0 : errorCode.protocol
  }

  #readData(bytes: Uint8Array, at: number): number {
    const length = Math.min(this.#dataLeft, bytes.length - at)
    this.#dataLeft -= length
    const last = this.#dataLeft === 0
    if (last) this.#dataLeft = -1
    if (!this.#skips) this.#user.onData(this.#id, bytes.subarray(at, at + length), last, this.#flags)
    return at + length
  }

  /** Room grows with what comes, so that a frame's head alone costs nobody memory. */
  #gather(bytes: Uint8Array, at: number, payload: Uint8Array): number {
    let room = payload
    const length = Math.min(this.#length - this.#payloadBytes, bytes.length - at)
    if (this.#payloadBytes + length > room.length) {
      room = new Uint8Array(Math.min(this.#length, Math.max(2 * room.length, this.#payloadBytes + length)))
      room.set(payload.subarray(0, this.#payloadBytes))
      this.#payload = room
    }
    room.set(bytes.subarray(at, at + length), this.#payloadBytes)
    this.#payloadBytes += length
    if (this.#payloadBytes === this.#length) {
      this.#payload = undefined
      this.#whole(room, 0, this.#length)
    }
    return at + length
  }

  #whole(bytes: Uint8Array, from: number, to: number): void {
    if (this.#type !== frameType.data) {
      this.#user.onFrame(this.#type, this.#flags, this.#id, bytes, from, to)
      return
    }
    // Section 6.1: what is padded is longer than its padding.
    const padding = to > from ? bytes[from]! : 0
    if (from + 1 + padding > to) this.#user.onFault(errorCode.protocol)
    else this.#user.onData(this.#id, bytes.subarray(from + 1, to - padding), true, this.#flags)
  }
}
