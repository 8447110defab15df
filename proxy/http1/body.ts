/** Finds the data in a message body: by length, in chunks, or until the connection closes (RFC 9112 sections 6 and 7). */

import { type Framing, isToken } from './fields.ts'
import { maxTrailerBytes, type Trailers, trailersOf } from './trailers.ts'

/** Hears of a run of data: bytes `from` to `to` of what was given to `read`. */
export type OnData = (from: number, to: number) => void

/** Most bytes of extensions that one chunk may carry: nobody uses them, and they are read one by one. */
const maxExtension = 256
/** The same over a whole body, so that tiny chunks do not make it free to send. */
const maxExtensions = 16_384

const sizeStart = 0
const size = 1
const extension = 2
const sizeEnd = 3
const data = 4
const dataEnd = 5
const dataLineEnd = 6
const trailerStart = 7
const trailerName = 8
const trailerValue = 9
const trailerLineEnd = 10
const lastLineEnd = 11
const over = 12

const none: Trailers = []

/** Reads one body, however its bytes are split. */
export class BodyReader {
  /** Data bytes so far, without framing. */
  bytes = 0
  done: boolean
  wrong: string | undefined
  /** What may travel on of the fields after a chunked body, once it is done. */
  trailers: Trailers = none
  readonly #framing: Framing['kind']
  #left: number
  #state = sizeStart
  #digits = 0
  #extension = 0
  #extensions = 0
  #trailerLines = ''
  #trailers = 0

  constructor(framing: Framing) {
    this.#framing = framing.kind
    this.#left = framing.kind === 'length' ? framing.length : 0
    this.done = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0)
  }

  /** Reads on and returns the index past the last byte that belongs to the body. Sets `done` or `wrong` at its end. */
  read(bytes: Uint8Array, from: number, to: number, onData: OnData): number {
    if (this.done || this.wrong !== undefined) return from
    if (this.#framing === 'chunked') return this.#readChunks(bytes, from, to, onData)
    const end = this.#framing === 'close' ? to : Math.min(to, from + this.#left)
    if (this.#framing === 'length') {
      this.#left -= end - from
      this.done = this.#left === 0
    }
    this.bytes += end - from
    if (end > from) onData(from, end)
    return end
  }

  /** The connection is over. Whether the body is whole. */
  closed(): boolean {
    if (this.#framing === 'close') this.done = true
    return this.done
  }

  #readChunks(bytes: Uint8Array, from: number, to: number, onData: OnData): number {
    let i = from
    while (i < to) {
      if (this.#state === data) {
        const end = Math.min(to, i + this.#left)
        this.#left -= end - i
        this.bytes += end - i
        if (this.#left === 0) this.#state = dataEnd
        onData(i, end)
        i = end
        continue
      }
      this.#readFraming(bytes[i]!)
      i++
      if (this.wrong !== undefined) return i
      if (this.#state === over) {
        this.done = true
        return i
      }
    }
    return i
  }

  #readFraming(byte: number): void {
    switch (this.#state) {
      case sizeStart:
      case size: {
        const digit = hexDigit(byte)
        if (digit >= 0) {
          if (++this.#digits > 12) this.wrong = 'a chunk size of more than twelve digits'
          this.#left = this.#left * 16 + digit
          this.#state = size
        } else if (this.#state === sizeStart) this.wrong = 'a chunk without a size'
        else if (byte === 13) this.#state = sizeEnd
        else if (byte === 59) this.#state = extension
        else this.wrong = 'a chunk size that is not a number'
        return
      }
      case extension:
        if (byte === 13) this.#state = sizeEnd
        else if ((byte < 32 && byte !== 9) || byte === 127) this.wrong = 'a control character in a chunk extension'
        else if (++this.#extension > maxExtension || ++this.#extensions > maxExtensions)
          this.wrong = 'chunk extensions without end'
        return
      case sizeEnd:
        if (byte !== 10) this.wrong = 'a bare CR after a chunk size'
        this.#state = this.#left === 0 ? trailerStart : data
        this.#digits = 0
        this.#extension = 0
        return
      case dataEnd:
        if (byte !== 13) this.wrong = 'a chunk longer than its size'
        this.#state = dataLineEnd
        return
      case dataLineEnd:
        if (byte !== 10) this.wrong = 'a bare CR after a chunk'
        this.#state = sizeStart
        return
      case trailerStart:
        if (byte === 13) this.#state = lastLineEnd
        else if (isToken(byte)) this.#state = trailerName
        else this.wrong = 'a trailer field without a name'
        break
      case trailerName:
        if (byte === 58) this.#state = trailerValue
        else if (!isToken(byte)) this.wrong = 'a trailer field name that is not a token'
        break
      case trailerValue:
        if (byte === 13) this.#state = trailerLineEnd
        else if ((byte < 32 && byte !== 9) || byte === 127) this.wrong = 'a control character in a trailer field'
        break
      case trailerLineEnd:
        if (byte !== 10) this.wrong = 'a bare CR in a trailer field'
        this.#state = trailerStart
        break
      case lastLineEnd:
        if (byte !== 10) this.wrong = 'a bare CR after the last chunk'
        this.#state = over
        if (this.#trailers > 0) this.#readTrailers()
        return
    }
    if (++this.#trailers > maxTrailerBytes) this.wrong = 'trailer fields without end'
    this.#trailerLines += String.fromCharCode(byte)
  }

  /** All but the CR of the blank line after them. */
  #readTrailers(): void {
    const trailers = trailersOf(this.#trailerLines.slice(0, -1))
    if ('wrong' in trailers) this.wrong = trailers.wrong
    else this.trailers = trailers
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  if (byte >= 97 && byte <= 102) return byte - 87
  if (byte >= 65 && byte <= 70) return byte - 55
  return -1
}
