/** Header blocks as they come: one frame or several in a row, bounded, and the list that they say. */

import { concat } from '../../core/bytes.ts'
import { errorCode, flag, frameType, readId } from './frames.ts'
import type { Decoder, HeaderList } from './hpack/decoder.ts'

/** Frames of one block: whoever cuts it smaller wants something else than to send fields. */
const mostFrames = 64

export interface Block {
  readonly id: number
  readonly endStream: boolean
  /** Whether its stream is said to depend on itself. */
  readonly onItself: boolean
  readonly list: HeaderList
}

export class Blocks {
  readonly #decoder: Decoder
  readonly #maxBytes: number
  /** The stream whose block goes on, or 0. */
  open = 0
  #endStream = false
  #onItself = false
  #parts: Uint8Array[] = []
  #bytes = 0

  /** `maxBytes`: of one block, as it comes. */
  constructor(decoder: Decoder, maxBytes: number) {
    this.#decoder = decoder
    this.#maxBytes = maxBytes
  }

  /** A frame of HEADERS or CONTINUATION. Undefined while the block goes on; or the code of an error of the connection. */
  add(
    type: number,
    flags: number,
    id: number,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): Block | number | undefined {
    let start = from
    let end = to
    if (type === frameType.headers) {
      this.#endStream = (flags & flag.endStream) !== 0
      this.#onItself = false
      if ((flags & flag.padded) !== 0) {
        const padding = start < end ? bytes[start]! : 0
        start++
        end -= padding
      }
      if ((flags & flag.priority) !== 0) {
        this.#onItself = start + 4 <= end && readId(bytes, start) === id
        start += 5
      }
      if (start > end) return errorCode.protocol
    }
    const ends = (flags & flag.endHeaders) !== 0
    if (type === frameType.headers && ends) return this.#decode(id, bytes, start, end)
    this.open = id
    this.#bytes += end - start
    if (this.#bytes > this.#maxBytes || this.#parts.length >= mostFrames) return errorCode.enhanceYourCalm
    this.#parts.push(bytes.slice(start, end))
    if (!ends) return undefined
    const whole = concat(...this.#parts)
    this.open = this.#bytes = 0
    this.#parts = []
    return this.#decode(id, whole, 0, whole.length)
  }

  #decode(id: number, bytes: Uint8Array, from: number, to: number): Block | number {
    const list = this.#decoder.decode(bytes, from, to)
    return list ? { id, endStream: this.#endStream, onItself: this.#onItself, list } : errorCode.compression
  }
}
