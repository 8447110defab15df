/** A caller of HTTP/1.1 whose upstream speaks HTTP/2. */

import type { Outcome } from '../../core/outcome.ts'
import type { Onward, Refusal } from '../exchange.ts'
import type { BodyReader } from '../http1/body.ts'
import type { Framing } from '../http1/fields.ts'
import type { Request } from '../http1/request.ts'
import type { Response } from '../http1/response.ts'
import { chunkedEnd, type Trailers } from '../http1/trailers.ts'
import { type FieldChanges, writeAnswer, writeResponse } from '../http1/write.ts'
import type { OpenLeg } from './leg.ts'
import { type CallerEnd, Relay } from './relay.ts'

/** The caller's connection, as far as its bytes go. */
export interface Side {
  /** The connection is closed, or will be before anything more can be said on it. */
  readonly gone: boolean
  /** Whether this is to be the last exchange, because we drain or the connection is old. */
  readonly last: boolean
  readonly openLeg: OpenLeg
  /**
   * Sends text of one byte a character, or bytes. False where the caller is slower than we are. `written` is called once
   * nobody reads `data` any more, perhaps never where the connection breaks.
   */
  write(data: string | Uint8Array, written?: () => void): boolean
  /** Bytes that came after the head, once. */
  takeHeld(): Buffer | undefined
  hold(bytes: Buffer): void
  pause(): void
  resume(): void
  /** After this exchange, nothing more. */
  closeAfter(): void
  /** Cuts the connection: what was sent is not whole, and the caller must see that. */
  cut(): void
  /** Something moved. */
  touch(): void
}

export class Http1Relay implements CallerEnd {
  readonly request: Request
  readonly #side: Side
  readonly #body: BodyReader
  #ahead: Uint8Array | undefined
  #continued: boolean
  #framing: Framing['kind'] = 'none'
  /** Whether bytes of the caller belong to the body now; until then they are held. */
  flows = false
  relay!: Relay

  constructor(side: Side, request: Request, body: BodyReader, ahead: Uint8Array | undefined, continued: boolean) {
    this.#side = side
    this.request = request
    this.#body = body
    this.#ahead = ahead
    this.#continued = continued
  }

  open(onward: Onward, startMs: number, finish: (outcome: Outcome) => void): void {
    this.relay = new Relay(this, onward, this.#side.openLeg, startMs, finish)
  }

  get gone(): boolean {
    return this.#side.gone
  }

  touch(): void {
    this.#side.touch()
  }

  startBody(): void {
    if (!this.relay) {
      queueMicrotask(() => this.relay.over || this.startBody())
      return
    }
    this.flows = true
    if (this.#ahead) this.#forward(this.#ahead)
    this.#ahead = undefined
    if (this.#body.done) {
      this.relay.onCallerEnd(this.#body.trailers)
      return
    }
    const held = this.#side.takeHeld()
    if (held) this.onCallerBytes(held)
    else if (this.request.expectsContinue && !this.#continued) {
      this.#continued = true
      this.#side.write('HTTP/1.1 100 Continue\r\n\r\n')
    }
    this.#side.resume()
  }

  onCallerBytes(bytes: Buffer): void {
    const body = this.#body
    const used = body.read(bytes, 0, bytes.length, (from, to) => this.#forward(bytes.subarray(from, to)))
    if (used < bytes.length && body.wrong === undefined) this.#side.hold(bytes.subarray(used))
    if (body.wrong !== undefined) this.relay.onBadBody(body.wrong)
    else if (body.done) this.relay.onCallerEnd(body.trailers)
  }

  #forward(bytes: Uint8Array): void {
    if (bytes.length > 0 && !this.relay.onCallerBody(bytes)) this.pauseBody()
  }

  pauseBody(): void {
    this.#side.pause()
  }

  resumeBody(): void {
    this.#side.resume()
  }

  begin(response: Response, changes: FieldChanges): void {
    const framing = framingFor(this.request, response)
    this.#framing = framing.kind
    if (!this.request.keepAlive || framing.kind === 'close') this.#side.closeAfter()
    const shape = { status: response.status, close: this.#side.last, framing }
    this.#side.write(writeResponse(shape, response.fields, changes))
  }

  write(bytes: Uint8Array): boolean {
    if (bytes.length === 0) return true // A chunk without bytes would be the last one.
    if (this.#framing !== 'chunked') return this.#side.write(bytes)
    this.#side.write(`${bytes.length.toString(16)}\r\n`)
    this.#side.write(bytes)
    return this.#side.write('\r\n')
  }

  end(trailers: Trailers): void {
    if (this.#framing === 'chunked') this.#side.write(chunkedEnd(trailers))
    if (!this.#body.done) this.#side.closeAfter()
    this.#side.resume()
  }

  answer(refusal: Refusal): number {
    if (!this.request.keepAlive || !this.#body.done) this.#side.closeAfter()
    const body = Buffer.from(refusal.body)
    this.#side.write(writeAnswer(refusal.status, refusal.headers, body.length, this.#side.last))
    if (this.request.method === 'HEAD') return 0
    this.#side.write(body)
    return body.length
  }

  cut(): void {
    this.#side.cut()
  }
}

const chunkedBody: Framing = { kind: 'chunked' }
const untilClose: Framing = { kind: 'close' }

/** HTTP/1.0 knows no chunks: a body without a length ends with its connection there. */
export function framingFor(request: Request, { framing }: Response): Framing {
  if (framing.kind === 'none' || framing.kind === 'length') return framing
  return request.protocol === 'HTTP/1.1' ? chunkedBody : untilClose
}
