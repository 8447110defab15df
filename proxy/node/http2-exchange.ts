/** One request on a stream of HTTP/2. */

import type { HeadFault } from '../../core/facts.ts'
import type { Peer } from '../../core/identity.ts'
import type { Outcome, OutcomeCode } from '../../core/outcome.ts'
import type { BodyRead, Exchange, Onward, Refusal } from '../exchange.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import { Request } from '../http1/request.ts'
import type { Response } from '../http1/response.ts'
import { readTrailers, type Trailers } from '../http1/trailers.ts'
import type { FieldChanges } from '../http1/write.ts'
import { ByteQueue } from '../http2/byte-queue.ts'
import { errorCode } from '../http2/frames.ts'
import type { RawFields } from '../http2/head.ts'
import type { Stream, StreamUser } from '../http2/stream.ts'
import { http2Answer, http2Response } from '../http2/write.ts'
import type { Limits } from '../limits.ts'
import type { OpenLeg } from './leg.ts'
import { type CallerEnd, Relay } from './relay.ts'

/** The stream's connection, as far as an exchange needs it. */
export interface Http2Side {
  readonly peer: Peer
  readonly local: { readonly address: string; readonly port: number }
  readonly limits: Limits
  readonly openLeg: OpenLeg
  /** Something moved; the time that is now, in milliseconds. */
  touch(): number
}

export class Http2Exchange implements Exchange, CallerEnd, StreamUser {
  readonly head: Request | HeadFault
  readonly #side: Http2Side
  readonly #stream: Stream
  readonly #startMs = performance.now()
  #relay: Relay | undefined
  /** What was read of the body before it goes on, and whether the stream ended behind it. */
  readonly #ahead = new ByteQueue()
  #aheadBytes = 0
  #bodyBytes = 0
  #ended: boolean
  /** What is wrong with the body, as far as it came. */
  #wrong: string | undefined
  #gathering: ((read: BodyRead) => void) | undefined
  #readLimit = 0
  #continued = false
  #received: RawFields = []
  /** Whether the answer is whole, as far as we have to do with it. */
  #answered = false
  gone = false
  movedMs: number

  constructor(side: Http2Side, stream: Stream, head: Request | HeadFault, nowMs: number) {
    this.#side = side
    this.#stream = stream
    this.head = head
    this.movedMs = nowMs
    this.#ended = !(head instanceof Request) || (head.framing.kind === 'none' && !head.tunnels)
    stream.user = this
  }

  /** Of its stream. */
  get id(): number {
    return this.#stream.id
  }

  get peer(): Peer {
    return this.#side.peer
  }

  get local(): { readonly address: string; readonly port: number } {
    return this.#side.local
  }

  get request(): Request {
    return this.head as Request
  }

  get upgrades(): boolean {
    return this.head instanceof Request && this.head.tunnels
  }

  touch(): void {
    this.movedMs = this.#side.touch()
  }

  /** An open tunnel is judged again, and closed where nothing has moved in it for that long. */
  sweep(nowMs: number, stallMs: number): void {
    const again = this.#relay?.judgeAgain
    if (!again) return
    if (nowMs - this.movedMs > stallMs) this.fail('upstream_timeout')
    else void again()
  }

  async readBody(maxBytes: number): Promise<BodyRead> {
    if (this.#ended || this.upgrades) return nothingRead // What a tunnel carries is no body.
    if (this.gone) return callerGone
    this.#readLimit = maxBytes
    const { promise, resolve } = Promise.withResolvers<BodyRead>()
    this.#gathering = resolve
    this.#sayContinue()
    this.#stream.resume()
    const timer = setTimeout(() => this.#gathered({ kind: 'late' }), this.#side.limits.bodyMs)
    const read = await promise
    clearTimeout(timer)
    return read
  }

  #gathered(read: BodyRead): void {
    const resolve = this.#gathering
    this.#gathering = undefined
    if (resolve) this.#stream.pause()
    resolve?.(read)
  }

  #readOf(): BodyRead {
    if (this.#wrong !== undefined) return { kind: 'bad', detail: this.#wrong }
    const bytes = this.#ahead.all()
    const { framing } = this.request
    const truncated = !this.#ended || bytes.length > this.#readLimit
    const size = framing.kind === 'length' ? framing.length : this.#ended ? bytes.length : -1
    return { kind: 'read', bytes: bytes.subarray(0, this.#readLimit), truncated, size }
  }

  onData(bytes: Uint8Array): void {
    this.#bodyBytes += bytes.length
    const { framing } = this.request
    if (framing.kind === 'length' && this.#bodyBytes > framing.length) this.#wrong = wrongLength
    if (this.#relay && this.#ahead.length === 0) {
      if (this.#wrong !== undefined) this.#relay.onBadBody(this.#wrong)
      else if (!this.#relay.onCallerBody(bytes)) this.#stream.pause()
      return
    }
    this.#ahead.push(bytes)
    this.#aheadBytes += bytes.length
    if (this.#aheadBytes > this.#readLimit || this.#wrong !== undefined) this.#gathered(this.#readOf())
  }

  onEnd(trailers: RawFields): void {
    this.#ended = true
    this.#received = trailers
    const { framing } = this.request
    // RFC 9113 section 8.1.1.
    if (framing.kind === 'length' && this.#bodyBytes !== framing.length) this.#wrong = wrongLength
    if (this.#gathering) this.#gathered(this.#readOf())
    else if (this.#relay) this.#endBody(this.#relay)
  }

  onDrain(): void {
    this.#relay?.onCallerDrain()
  }

  onClose(code: number | undefined): void {
    if (this.gone || (code === undefined && this.#answered)) return
    this.gone = true
    this.#gathered(callerGone)
    if (!this.#answered) this.#relay?.onCallerGone()
  }

  #endBody(relay: Relay): void {
    // RFC 9113 section 8.5: a tunnel has frames of data alone.
    const fields = this.upgrades && this.#received.length > 0
    const trailers = fields ? { wrong: 'fields in a tunnel' } : readTrailers(this.#received)
    if (this.#wrong !== undefined) relay.onBadBody(this.#wrong)
    else if ('wrong' in trailers) relay.onBadBody(trailers.wrong)
    else relay.onCallerEnd(trailers)
  }

  #sayContinue(): void {
    if (this.#continued || !this.request.expectsContinue) return
    this.#continued = true
    this.#stream.sendHead([':status', '100'])
  }

  async refuse(refusal: Refusal): Promise<Outcome> {
    if (this.gone) return this.#outcome('caller_gone', 0, 0)
    const bytes = this.answer(refusal)
    return this.#outcome('refused', refusal.status, bytes)
  }

  forward(onward: Onward): Promise<Outcome> {
    return new Promise((resolve) => {
      if (this.gone) {
        resolve(this.#outcome('caller_gone', 0, 0))
        return
      }
      this.#relay = new Relay(this, onward, this.#side.openLeg, this.#startMs, resolve)
      if (this.gone) this.#relay.onCallerGone()
    })
  }

  /** Ends the exchange for a reason on our side. */
  fail(code: UpstreamFailure): void {
    this.#relay?.fail(code)
  }

  startBody(): void {
    // Called from within the relay's making, where an upstream is at hand at once.
    if (!this.#relay) {
      queueMicrotask(() => this.#relay && !this.#relay.over && this.startBody())
      return
    }
    const relay = this.#relay
    let flowing = true
    if (this.#ahead.length === 0 && !this.#ended) this.#sayContinue()
    for (let bytes = this.#ahead.take(Infinity); bytes; bytes = this.#ahead.take(Infinity)) {
      flowing = relay.onCallerBody(bytes)
    }
    if (this.#ended) this.#endBody(relay)
    else if (flowing) this.#stream.resume()
    else this.#stream.pause()
  }

  pauseBody(): void {
    this.#stream.pause()
  }

  resumeBody(): void {
    this.#stream.resume()
  }

  begin(response: Response, changes: FieldChanges): void {
    const endStream = response.framing.kind === 'none'
    const tunnel = this.upgrades && response.framing.kind === 'close'
    // RFC 8441 section 5: any success says that the protocol is taken up.
    const remove = tunnel ? [...changes.remove, 'upgrade', 'sec-websocket-accept', 'content-length'] : changes.remove
    const status = response.status === 101 ? 200 : response.status
    const head = http2Response(status, response.fields, { ...changes, remove })
    this.#answered = endStream
    this.#stream.sendHead(head, endStream, response.fields.secret)
  }

  write(bytes: Uint8Array): boolean {
    return this.#stream.write(bytes)
  }

  end(trailers: Trailers): void {
    this.#answered = true
    this.#stream.end(trailers)
  }

  answer(refusal: Refusal): number {
    this.#answered = true
    const body = utf8.encode(refusal.body)
    const silent = body.length === 0 || (this.head instanceof Request && this.head.method === 'HEAD')
    const fault = !(this.head instanceof Request) || this.#wrong !== undefined
    // RFC 9113 section 8.1.1: what is malformed may have an answer, and is an error of its stream all the same.
    if (fault) this.#stream.afterEnd = errorCode.protocol
    this.#stream.sendHead(http2Answer(refusal.status, refusal.headers, body.length), silent)
    this.#stream.write(body)
    this.#stream.end()
    return silent ? 0 : body.length
  }

  cut(): void {
    this.#answered = true
    const tunnels = this.#relay?.judgeAgain !== undefined
    const fault = this.#wrong === undefined ? errorCode.internal : errorCode.protocol
    this.#stream.reset(tunnels ? errorCode.connect : fault)
  }

  #outcome(code: OutcomeCode, status: number, responseBytes: number): Outcome {
    const durationUs = Math.round((performance.now() - this.#startMs) * 1000)
    return { code, status, requestBytes: this.#aheadBytes, responseBytes, durationUs, upstream: '' }
  }
}

const utf8 = new TextEncoder()
const wrongLength = 'a body of another length than its Content-Length'
const nothingRead: BodyRead = { kind: 'none' }
const callerGone: BodyRead = { kind: 'gone' }
