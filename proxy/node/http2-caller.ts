/** A caller's connection of HTTP/2: each of its streams is a request, judged and recorded by itself. */

import type { Socket } from 'node:net'
import type { HeadFault } from '../../core/facts.ts'
import { messageOf } from '../../core/fault.ts'
import type { Peer } from '../../core/identity.ts'
import { errorCode } from '../http2/frames.ts'
import { readHttp2Request } from '../http2/head.ts'
import type { HeaderList } from '../http2/hpack/decoder.ts'
import type { Stream } from '../http2/stream.ts'
import { StreamTable } from '../http2/stream-table.ts'
import type { Limits } from '../limits.ts'
import { serve } from '../serve.ts'
import type { CallerParts, Connection } from './connection.ts'
import { Http2Exchange, type Http2Side } from './http2-exchange.ts'
import { type Http2Socket, joinHttp2 } from './http2-socket.ts'
import type { OpenLeg } from './leg.ts'
import { openLegs } from './legs.ts'

/** Time that a caller has to read that it is told to go, in milliseconds; then what it still sends is not served. */
const drainMs = 1000

export class Http2Caller implements Http2Side, Connection {
  peer: Peer
  readonly local: { readonly address: string; readonly port: number }
  readonly openLeg: OpenLeg
  readonly #socket: Http2Socket
  readonly #listener: CallerParts
  /** By the numbers of their streams. */
  readonly #exchanges = new StreamTable<Http2Exchange>()
  readonly #oldAtMs: number
  #sinceMs: number
  #served = false
  #drainingMs: number | undefined

  constructor(socket: Socket, peer: Peer, listener: CallerParts) {
    const { limits } = listener
    this.peer = peer
    this.local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
    this.openLeg = openLegs(listener.pools, limits)
    this.#listener = listener
    this.#sinceMs = listener.clockMs()
    this.#oldAtMs = this.#sinceMs + limits.ageMs * (1 - Math.random() / 10)
    this.#socket = joinHttp2(socket, { role: 'server', limits, nowMs: listener.clockMs }, this)
  }

  get limits(): Limits {
    return this.#listener.limits
  }

  get busy(): boolean {
    return this.#exchanges.size > 0
  }

  touch(): number {
    this.#sinceMs = this.#listener.clockMs()
    return this.#sinceMs
  }

  onRequest(stream: Stream, list: HeaderList, endsHere: boolean): void {
    const { scheme, limits } = this.#listener
    this.touch()
    // Streams that were reset are served to the end of their decision: they count as long as that takes.
    if (this.#exchanges.size >= 2 * limits.streams) {
      this.#socket.session.onFault(errorCode.enhanceYourCalm)
      return
    }
    const head = list.whole ? readHttp2Request(list.fields, endsHere, scheme, limits, list.secret) : tooLarge(limits)
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
    this.#exchanges.delete(exchange.id)
    this.#served = true
    this.#listener.onServed()
    this.touch()
  }

  /** GOAWAY: no further request; those in flight end as they began. */
  drain(): void {
    if (this.#drainingMs !== undefined) return
    this.#drainingMs = this.#listener.clockMs()
    this.#socket.session.drain()
  }

  /** The caller's identity holds no longer: what it has in flight ends too, however long it was to last. */
  revoke(): void {
    this.drain()
    for (const exchange of this.#exchanges.all()) exchange.fail('revoked')
  }

  stop(): void {
    for (const exchange of this.#exchanges.all()) exchange.fail('drained')
    this.#socket.destroy()
  }

  sweep(nowMs: number): void {
    const { limits } = this.#listener
    const silentMs = nowMs - this.#sinceMs
    if (nowMs > this.#oldAtMs) this.drain()
    if (this.#drainingMs !== undefined && nowMs - this.#drainingMs > drainMs) this.#socket.session.finishDrain()
    for (const exchange of this.#exchanges.all()) exchange.sweep(nowMs, limits.stallMs)
    if (this.busy) {
      if (silentMs > limits.stallMs) for (const exchange of this.#exchanges.all()) exchange.fail('upstream_timeout')
    } else if (silentMs > (this.#served ? limits.idleMs : limits.headMs)) {
      // A peer that was told to go and stays is cut.
      if (this.#drainingMs !== undefined || !this.#served) this.stop()
      else this.drain()
    }
  }

  onClosed(): void {
    this.#listener.onClosed(this)
  }
}

const tooLarge = ({ headBytes, headFields }: Limits): HeadFault => ({
  code: 'head_too_large',
  detail: `a head of more than ${2 * headBytes} bytes or ${2 * headFields} fields`,
})
