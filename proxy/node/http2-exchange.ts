/** One request on a stream of HTTP/2. */

import { constants, type ServerHttp2Stream } from 'node:http2'
import type { HeadFault } from '../../core/facts.ts'
import type { Peer } from '../../core/identity.ts'
import type { Outcome, OutcomeCode } from '../../core/outcome.ts'
import type { BodyRead, Exchange, Onward, Refusal } from '../exchange.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import { Request } from '../http1/request.ts'
import type { Response } from '../http1/response.ts'
import { readTrailers, type Trailers } from '../http1/trailers.ts'
import type { FieldChanges } from '../http1/write.ts'
import { http2Answer, http2Response } from '../http2/write.ts'
import type { Limits } from '../limits.ts'
import { sendTrailers } from './http2-leg.ts'
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

export class Http2Exchange implements Exchange, CallerEnd {
  readonly head: Request | HeadFault
  readonly #side: Http2Side
  readonly #stream: ServerHttp2Stream
  readonly #startMs = performance.now()
  #relay: Relay | undefined
  /** What was read of the body before it goes on, and whether the stream ended behind it. */
  #ahead: Buffer[] = []
  #aheadBytes = 0
  #ended: boolean
  #listening = false
  #gathering: ((read: BodyRead) => void) | undefined
  #readLimit = 0
  #continued = false
  #received: readonly string[] = []
  #trailers: Trailers = []
  gone = false
  movedMs: number

  constructor(side: Http2Side, stream: ServerHttp2Stream, head: Request | HeadFault, nowMs: number) {
    this.#side = side
    this.#stream = stream
    this.head = head
    this.movedMs = nowMs
    this.#ended = !(head instanceof Request) || (head.framing.kind === 'none' && !head.tunnels)
    stream.on('trailers', (_, __, raw) => {
      this.#received = raw
    })
    stream.on('drain', () => this.#relay?.onCallerDrain())
    stream.on('wantTrailers', () => sendTrailers(stream, this.#trailers))
    stream.on('error', () => {}) // What matters about it is the close that follows.
    stream.on('aborted', () => this.#onGone())
    stream.on('close', () => this.#onGone())
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
    this.#listen()
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
    const bytes = Buffer.concat(this.#ahead)
    const { framing } = this.request
    const truncated = !this.#ended || bytes.length > this.#readLimit
    const size = framing.kind === 'length' ? framing.length : this.#ended ? bytes.length : -1
    return { kind: 'read', bytes: bytes.subarray(0, this.#readLimit), truncated, size }
  }

  /** From now on the stream is read; before, its window fills and its caller waits. */
  #listen(): void {
    if (this.#listening) return
    this.#listening = true
    const stream = this.#stream
    stream.on('data', (bytes: Buffer) => {
      if (this.#relay) {
        if (!this.#relay.onCallerBody(bytes)) stream.pause()
        return
      }
      this.#ahead.push(bytes)
      this.#aheadBytes += bytes.length
      if (this.#aheadBytes > this.#readLimit) this.#gathered(this.#readOf())
    })
    stream.on('end', () => {
      if (stream.aborted || stream.rstCode !== 0) return // The close that follows says so.
      this.#ended = true
      if (this.#gathering) this.#gathered(this.#readOf())
      else if (this.#relay) this.#endBody(this.#relay)
    })
  }

  #endBody(relay: Relay): void {
    // RFC 9113 section 8.5: a tunnel has frames of data alone.
    const fields = this.upgrades && this.#received.length > 0
    const trailers = fields ? { wrong: 'fields in a tunnel' } : readTrailers(this.#received)
    if ('wrong' in trailers) relay.onBadBody(trailers.wrong)
    else relay.onCallerEnd(trailers)
  }

  #sayContinue(): void {
    if (this.#continued || !this.request.expectsContinue || this.#stream.destroyed) return
    this.#continued = true
    this.#stream.additionalHeaders({ ':status': '100' })
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
    for (const bytes of this.#ahead.splice(0)) flowing = relay.onCallerBody(bytes)
    if (this.#ended) this.#endBody(relay)
    else {
      this.#listen()
      if (flowing) this.#stream.resume()
      else this.#stream.pause()
    }
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
    try {
      this.#stream.respond(head, { endStream, waitForTrailers: !endStream && response.framing.kind !== 'length' })
    } catch {
      this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    }
  }

  write(bytes: Uint8Array): boolean {
    return this.#stream.destroyed || this.#stream.writableEnded || this.#stream.write(bytes)
  }

  end(trailers: Trailers): void {
    this.#trailers = trailers
    if (!this.#stream.destroyed && !this.#stream.writableEnded) this.#stream.end()
    this.#letGo()
  }

  answer(refusal: Refusal): number {
    const body = Buffer.from(refusal.body)
    const silent = body.length === 0 || (this.head instanceof Request && this.head.method === 'HEAD')
    const head = http2Answer(refusal.status, refusal.headers, body.length)
    if (body.length === 0) delete head['content-length']
    try {
      this.#stream.respond(head, { endStream: silent })
      if (!silent) this.#stream.end(body)
    } catch {
      this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    }
    this.#letGo()
    return silent ? 0 : body.length
  }

  /** The answer is whole; what is still to come of the request is asked for no more (RFC 9113 section 8.1). */
  #letGo(): void {
    const stream = this.#stream
    const stop = (): void => {
      if (!this.#ended && !stream.destroyed && !stream.closed) stream.close(constants.NGHTTP2_NO_ERROR)
    }
    if (stream.writableFinished) stop()
    else stream.once('finish', stop)
    if (this.#ended) stream.resume()
  }

  cut(): void {
    const tunnels = this.#relay?.judgeAgain !== undefined
    this.#stream.close(tunnels ? constants.NGHTTP2_CONNECT_ERROR : constants.NGHTTP2_INTERNAL_ERROR)
  }

  #onGone(): void {
    if (this.gone) return
    this.gone = true
    this.#gathered(callerGone)
    this.#relay?.onCallerGone()
  }

  #outcome(code: OutcomeCode, status: number, responseBytes: number): Outcome {
    const durationUs = Math.round((performance.now() - this.#startMs) * 1000)
    return { code, status, requestBytes: this.#aheadBytes, responseBytes, durationUs, upstream: '' }
  }
}

const nothingRead: BodyRead = { kind: 'none' }
const callerGone: BodyRead = { kind: 'gone' }
