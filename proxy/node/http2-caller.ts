/** A caller's connection of HTTP/2: each of its streams is a request, judged and recorded by itself. */

import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { messageOf } from '../../core/fault.ts'
import type { Peer } from '../../core/identity.ts'
import { readHttp2Request } from '../http2/head.ts'
import type { Limits } from '../limits.ts'
import { serve } from '../serve.ts'
import type { CallerParts, Connection } from './connection.ts'
import { Http2Exchange, type Http2Side } from './http2-exchange.ts'
import type { OpenLeg } from './leg.ts'
import { openLegs } from './legs.ts'

/** Streams that a caller may reset each second once it has used up those at once. */
const resetsASecond = 20

export class Http2Caller implements Http2Side, Connection {
  peer: Peer
  readonly local: { readonly address: string; readonly port: number }
  readonly openLeg: OpenLeg
  readonly #socket: Socket
  readonly #session: ServerHttp2Session
  readonly #listener: CallerParts
  readonly #exchanges = new Set<Http2Exchange>()
  readonly #oldAtMs: number
  #sinceMs: number
  #served = false
  #controls = 0
  #draining = false
  #over = false

  constructor(socket: Socket, peer: Peer, listener: CallerParts) {
    const { limits } = listener
    this.peer = peer
    this.local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
    this.openLeg = openLegs(listener.pools, limits)
    this.#socket = socket
    this.#listener = listener
    this.#sinceMs = listener.clockMs()
    this.#oldAtMs = this.#sinceMs + limits.ageMs * (1 - Math.random() / 10)
    const session = performServerHandshake(socket, {
      settings: {
        maxConcurrentStreams: limits.streams,
        initialWindowSize: limits.streamWindow,
        // Twice what is served, so that a head which is somewhat too large gets an answer and a record.
        maxHeaderListSize: 2 * limits.headBytes,
        enablePush: false,
        enableConnectProtocol: true,
      },
      maxHeaderListPairs: 2 * limits.headFields,
      maxSessionInvalidFrames: 100,
      maxSessionRejectedStreams: 100,
      streamResetBurst: limits.streamResets,
      streamResetRate: resetsASecond,
    })
    this.#session = session
    session.on('stream', (stream, _, flags, raw) => this.#onStream(stream, flags, raw))
    session.on('ping', () => this.#onControl())
    session.on('remoteSettings', () => this.#onControl())
    session.on('error', () => {}) // What matters about it is the close that follows.
    session.on('close', () => this.#onClose())
    socket.on('error', () => {})
    socket.on('close', () => this.#onClose())
  }

  get limits(): Limits {
    return this.#listener.limits
  }

  get busy(): boolean {
    return this.#exchanges.size > 0
  }

  touch(): number {
    this.#sinceMs = this.#listener.clockMs()
    this.#controls = 0
    return this.#sinceMs
  }

  #onStream(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    const { scheme, limits } = this.#listener
    this.touch()
    // Streams that were reset are served to the end of their decision: they count as long as that takes.
    if (this.#over || this.#exchanges.size >= 2 * limits.streams) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM)
      this.#giveUp()
      return
    }
    const endsHere = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
    const head = readHttp2Request(raw, endsHere, scheme, limits)
    const exchange = new Http2Exchange(this, stream, head, this.#sinceMs)
    this.#exchanges.add(exchange)
    serve(exchange, this.#listener.parts(), this.#listener.parts).then(
      () => this.#afterwards(exchange),
      (thrown) => {
        this.#listener.onFault(`a request could not be served: ${messageOf(thrown)}`)
        exchange.cut()
        this.#afterwards(exchange)
      },
    )
  }

  #afterwards(exchange: Http2Exchange): void {
    this.#exchanges.delete(exchange)
    this.#served = true
    this.#listener.onServed()
    this.touch()
  }

  /** Frames that ask for an answer and move nothing. */
  #onControl(): void {
    if (++this.#controls > this.#listener.limits.controlFrames) this.#giveUp()
  }

  #giveUp(): void {
    if (this.#over) return
    this.#over = true
    for (const exchange of this.#exchanges) exchange.fail('drained')
    if (this.#session.destroyed) return
    this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    this.#session.destroy()
  }

  /** GOAWAY: no further request; those in flight end as they began. */
  drain(): void {
    if (this.#draining) return
    this.#draining = true
    this.#session.close()
  }

  /** The caller's identity holds no longer: what it has in flight ends too, however long it was to last. */
  revoke(): void {
    this.drain()
    for (const exchange of this.#exchanges) exchange.fail('revoked')
  }

  stop(): void {
    for (const exchange of this.#exchanges) exchange.fail('drained')
    this.#session.destroy()
    this.#socket.destroy()
  }

  sweep(nowMs: number): void {
    const { limits } = this.#listener
    const silentMs = nowMs - this.#sinceMs
    if (nowMs > this.#oldAtMs) this.drain()
    for (const exchange of this.#exchanges) exchange.sweep(nowMs, limits.stallMs)
    if (this.busy) {
      if (silentMs > limits.stallMs) for (const exchange of this.#exchanges) exchange.fail('upstream_timeout')
    } else if (silentMs > (this.#served ? limits.idleMs : limits.headMs)) {
      // A peer that was told to go and stays is cut.
      if (this.#draining || !this.#served) this.stop()
      else this.drain()
    }
  }

  #onClose(): void {
    this.#listener.onClosed(this)
  }
}
