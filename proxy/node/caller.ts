/** A caller's connection: heads are read one at a time, each is served to its end, then the next one in order. */

import type { Socket } from 'node:net'
import type { HeadFault } from '../../core/facts.ts'
import { messageOf } from '../../core/fault.ts'
import type { Peer } from '../../core/identity.ts'
import { Request, readRequest } from '../http1/request.ts'
import { broken, headEnd, more, tooLong } from '../http1/scan.ts'
import type { Limits } from '../limits.ts'
import { serve } from '../serve.ts'
import type { CallerParts, Connection } from './connection.ts'
import { type CallerSide, SocketExchange } from './exchange.ts'
import type { OpenLeg } from './leg.ts'
import { openLegs } from './legs.ts'
import type { Pool } from './pool.ts'
import { reset } from './under.ts'

/** Bytes of a caller that nobody wants yet; beyond them its socket is not read. */
const maxHeld = 65_536

/** How long a connection that we ended may still send, in milliseconds, and how much, so that our last words arrive. */
const lingerMs = 2000
const lingerBytes = 1_048_576

export class Caller implements CallerSide, Connection {
  readonly socket: Socket
  peer: Peer
  readonly local: { readonly address: string; readonly port: number }
  readonly #listener: CallerParts
  readonly #oldAtMs: number
  #state: 'idle' | 'head' | 'busy' | 'closing' = 'idle'
  #exchange: SocketExchange | undefined
  #held: Buffer | undefined
  #scanned = 0
  #sinceMs: number
  #served = false
  #last = false
  #paused = false
  #discarded = 0
  #handedOver = false
  gone = false

  constructor(socket: Socket, peer: Peer, listener: CallerParts) {
    this.socket = socket
    this.peer = peer
    this.local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
    this.#listener = listener
    this.#sinceMs = listener.clockMs()
    this.#oldAtMs = this.#sinceMs + listener.limits.ageMs * (1 - Math.random() / 10)
    socket.on('data', (bytes: Buffer) => this.#onData(bytes))
    socket.on('drain', () => this.#onDrain())
    socket.on('end', () => this.#onEnd())
    socket.on('error', () => {}) // What matters about it is the close that follows.
    socket.on('close', () => this.#onClose())
  }

  get limits(): Limits {
    return this.#listener.limits
  }

  get pool(): Pool {
    return this.#listener.pools.http1
  }

  get openLeg(): OpenLeg {
    return openLegs(this.#listener.pools, this.#listener.limits)
  }

  get last(): boolean {
    return this.#last
  }

  get busy(): boolean {
    return this.#exchange !== undefined
  }

  write(data: string | Uint8Array, written?: () => void): boolean {
    if (this.gone) return true
    return typeof data === 'string' ? this.socket.write(data, 'latin1', written) : this.socket.write(data, written)
  }

  takeHeld(): Buffer | undefined {
    const held = this.#held
    this.#held = undefined
    return held
  }

  hold(bytes: Buffer): void {
    this.#held = this.#held ? Buffer.concat([this.#held, bytes]) : bytes
    if (this.#held.length > maxHeld) this.pause()
  }

  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.socket.pause()
  }

  resume(): void {
    if (!this.#paused || (this.#state === 'busy' && (this.#held?.length ?? 0) > maxHeld)) return
    this.#paused = false
    this.socket.resume()
  }

  closeAfter(): void {
    this.#last = true
  }

  cut(): void {
    const halfway = this.#exchange !== undefined
    this.gone = true
    this.#exchange?.onCallerGone()
    if (halfway)
      reset(this.socket) // Where a body ends with its connection, a mere close would make it whole.
    else this.socket.destroy()
  }

  touch(): void {
    this.#sinceMs = this.#listener.clockMs()
  }

  /** No further request after the one in flight. */
  drain(): void {
    this.#last = true
    if (this.#state === 'idle') this.#close()
  }

  revoke(): void {
    this.drain()
    if (this.#exchange?.tunnels) this.#exchange.fail('revoked')
  }

  /** Ends what is in flight, now. */
  stop(): void {
    this.#exchange?.fail('drained')
    this.cut()
  }

  /** Time moves: closes what has been silent, slow or here for too long. */
  sweep(nowMs: number): void {
    const { limits } = this.#listener
    const silentMs = nowMs - this.#sinceMs
    if (this.#state === 'busy') {
      if (nowMs > this.#oldAtMs) this.#last = true
      void this.#exchange?.judgeAgain?.()
      if (silentMs > limits.stallMs) this.#exchange ? this.#exchange.fail('upstream_timeout') : this.cut()
    } else if (this.#state === 'closing') {
      if (silentMs > lingerMs) this.cut()
    } else if (this.#state === 'head' || !this.#served) {
      if (silentMs > limits.headMs) this.cut()
    } else if (silentMs > limits.idleMs || nowMs > this.#oldAtMs) this.#close()
  }

  #onData(bytes: Buffer): void {
    switch (this.#state) {
      case 'closing':
        this.#discarded += bytes.length
        if (this.#discarded > lingerBytes) this.cut()
        return
      case 'busy':
        this.touch()
        if (this.#exchange?.wantsBytes) this.#exchange.onCallerBytes(bytes)
        else this.hold(bytes)
        return
      case 'idle':
        this.touch() // The head's time runs from its first byte.
    }
    this.#held = this.#held ? Buffer.concat([this.#held, bytes]) : bytes
    this.#readHead()
  }

  #readHead(): void {
    const held = this.#held!
    const { limits, scheme } = this.#listener
    const end = headEnd(held, this.#scanned, held.length, limits.headBytes)
    if (end === more) {
      this.#state = 'head'
      this.#scanned = held.length
      return
    }
    this.#scanned = 0
    if (end === broken) {
      this.#serve(bareControl)
      return
    }
    if (end === tooLong) {
      this.#serve({ code: 'head_too_large', detail: `a head of more than ${limits.headBytes} bytes` })
      return
    }
    if (end === preface.length && !this.#served && scheme === 'http' && held.toString('latin1', 0, end) === preface) {
      this.#handOver(held)
      return
    }
    this.#held = end < held.length ? held.subarray(end) : undefined
    this.#serve(readRequest(held.toString('latin1', 0, end), scheme, limits))
  }

  /** HTTP/2 by prior knowledge (RFC 9113 section 3.3): only where there is no TLS that could have negotiated it. */
  #handOver(held: Buffer): void {
    const { socket } = this
    socket.pause()
    socket.removeAllListeners('data')
    this.#handedOver = true
    socket.unshift(held)
    this.#listener.onHttp2(this, socket)
  }

  #serve(head: Request | HeadFault): void {
    this.#state = 'busy'
    if (!(head instanceof Request)) this.#last = true // What follows a head that nobody could read is nothing we could read.
    this.#exchange = new SocketExchange(this, head)
    serve(this.#exchange, this.#listener.parts(), this.#listener.parts).then(
      () => this.#over(),
      (thrown) => {
        this.#listener.onFault(`a request could not be served: ${messageOf(thrown)}`)
        this.#exchange = undefined
        this.cut()
      },
    )
  }

  #over(): void {
    this.#exchange = undefined
    this.#served = true
    this.#listener.onServed()
    this.touch()
    this.#next()
  }

  /** On to the next request, once the answers before it have mostly left: a caller that never reads is not served on. */
  #next(): void {
    if (this.gone || this.socket.writableNeedDrain) return
    if (this.last) {
      this.#close()
      return
    }
    this.#state = 'idle'
    this.resume()
    if (this.#held) this.#readHead()
  }

  #onDrain(): void {
    if (this.#handedOver) return
    this.touch()
    if (this.#exchange) this.#exchange.onCallerDrain()
    else if (this.#state === 'busy') this.#next()
  }

  /** Sends what is left to send, then hears the caller out for a moment: a reset could overtake our last words. */
  #close(): void {
    this.#state = 'closing'
    this.#held = undefined
    this.touch()
    this.resume()
    this.socket.end()
  }

  /** A caller that closes while it waits is gone: HTTP has no half-closed requests, and nginx and Envoy take it so too. */
  #onEnd(): void {
    if (this.#handedOver) return
    this.#last = true
    if (this.#exchange) this.cut()
    else if (this.#state !== 'busy' && !this.socket.writableEnded) this.socket.end() // Twice would be an error, with a stack.
  }

  #onClose(): void {
    if (this.#handedOver) return
    this.gone = true
    this.#exchange?.onCallerGone()
    this.#listener.onClosed(this)
  }
}

const bareControl: HeadFault = { code: 'bad_request', detail: 'a control character, bare CR or bare LF in the head' }

/** What a client of HTTP/2 sends first, as far as it looks like a head. */
const preface = 'PRI * HTTP/2.0\r\n\r\n'
