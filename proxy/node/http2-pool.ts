/**
 * Sessions of HTTP/2 with upstreams, each shared by many exchanges. As in the pool for HTTP/1.1, they are bounded in number,
 * and so are those that wait; a peer proves its name after the handshake and again each time its session is lent.
 */

import { connect as connectTcp } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Peer } from '../../core/identity.ts'
import type { Endpoint } from '../../core/snapshot.ts'
import type { ServiceBounds } from '../../core/traffic.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import type { Session } from '../http2/session.ts'
import { ByEndpoint } from './by-endpoint.ts'
import { type Http2Socket, joinHttp2 } from './http2-socket.ts'
import { connectOutside } from './outside.ts'
import { peerOf } from './peer.ts'
import { isExpected, type PoolParts } from './pool.ts'
import { clientTls } from './tls.ts'

/** Who asked for a session. Exactly one of the two is called, perhaps before `acquire` returns. */
export interface SessionBorrower {
  /** `release` once the borrower's stream is over. */
  onSession(session: Session, name: string, release: () => void): void
  /** `http1`: the other end is there, but does not speak HTTP/2. */
  onNoSession(code: UpstreamFailure | 'http1'): void
}

export interface Http2Pool {
  /** `bounds`: in place of the limits' own, from now on. */
  acquire(endpoint: Endpoint, borrower: SessionBorrower, bounds?: ServiceBounds): void
  cancel(endpoint: Endpoint, borrower: SessionBorrower): void
  sweep(): void
  close(): void
  open(): number
}

/** How long a proxy or host that spoke HTTP/1.1 alone is taken to do so, in milliseconds: it may be of an older version. */
const http1ForMs = 60_000

interface Lent {
  readonly socket: Http2Socket
  readonly session: Session
  readonly peer: Peer | undefined
  streams: number
  idleSinceMs: number
  stale: boolean
}

export function makeHttp2Pool(parts: PoolParts): Http2Pool {
  const pools = new ByEndpoint(parts.source, (endpoint) => new EndpointSessions(endpoint, parts))
  return {
    acquire: (endpoint, borrower, bounds) => pools.of(endpoint).acquire(borrower, bounds),
    cancel: (endpoint, borrower) => pools.of(endpoint).cancel(borrower),
    sweep: () => pools.sweep(),
    close: () => pools.close(),
    open: () => pools.open(),
  }
}

class EndpointSessions {
  readonly #endpoint: Endpoint
  readonly #parts: PoolParts
  readonly #all = new Set<Lent>()
  readonly #waiting: SessionBorrower[] = []
  #bounds: ServiceBounds | undefined
  #connecting = 0
  #closed = false
  #http1UntilMs = 0

  constructor(endpoint: Endpoint, parts: PoolParts) {
    this.#endpoint = endpoint
    this.#parts = parts
  }

  get size(): number {
    return this.#all.size
  }

  get empty(): boolean {
    const known = this.#http1UntilMs > this.#parts.nowMs()
    return this.#all.size === 0 && this.#waiting.length === 0 && this.#connecting === 0 && !known
  }

  acquire(borrower: SessionBorrower, bounds?: ServiceBounds): void {
    this.#bounds = bounds
    this.#take(borrower)
  }

  #take(borrower: SessionBorrower): void {
    if (this.#http1UntilMs > this.#parts.nowMs()) {
      borrower.onNoSession('http1')
      return
    }
    if (this.#isFull) {
      borrower.onNoSession('upstream_overflow')
      return
    }
    this.#waiting.push(borrower)
    this.#serve()
  }

  get #most(): number {
    return this.#bounds?.upstreams ?? this.#parts.limits.upstreams
  }

  /** Those for whom a session is being made do not count. */
  get #isFull(): boolean {
    const { limits } = this.#parts
    const beyond = this.#waiting.length - this.#connecting * limits.streams
    const most = this.#all.size + this.#connecting >= this.#most
    return most && beyond >= (this.#bounds?.pending ?? limits.pending)
  }

  cancel(borrower: SessionBorrower): void {
    const at = this.#waiting.indexOf(borrower)
    if (at >= 0) this.#waiting.splice(at, 1)
  }

  /** The identity changed: new requests use sessions made with the new one; streams on the old ones end as they began. */
  renew(): void {
    if (this.#endpoint.identity === undefined) return
    for (const lent of this.#all) {
      lent.stale = true
      lent.session.drain()
    }
  }

  sweep(): void {
    const { limits, nowMs } = this.#parts
    const idleMs = this.#endpoint.identity === undefined ? limits.appIdleMs : limits.upstreamIdleMs
    for (const lent of this.#all) {
      if (lent.streams === 0 && lent.idleSinceMs < nowMs() - idleMs) lent.session.drain()
    }
  }

  close(): void {
    this.#closed = true
    for (const borrower of this.#waiting.splice(0)) borrower.onNoSession('drained')
    for (const { socket } of [...this.#all]) socket.destroy()
  }

  /** To those that wait: a place on an open session, else on a new one. */
  #serve(): void {
    while (this.#waiting.length > 0) {
      const lent = this.#withRoom()
      if (!lent) break
      const borrower = this.#waiting.shift()!
      lent.streams++
      if (lent.peer) void this.#lendProven(lent, lent.peer, borrower)
      else this.#lend(lent, borrower)
    }
    const { limits } = this.#parts
    const wanted = Math.ceil(this.#waiting.length / limits.streams)
    while (!this.#closed && wanted > this.#connecting && this.#all.size + this.#connecting < this.#most) {
      this.#connect()
    }
  }

  #withRoom(): Lent | undefined {
    for (const lent of this.#all) if (this.#hasRoom(lent)) return lent
    return undefined
  }

  #hasRoom({ session, streams, stale }: Lent): boolean {
    return !stale && !session.closing && streams < Math.min(session.theirStreams, this.#parts.limits.streams)
  }

  async #lendProven(lent: Lent, peer: Peer, borrower: SessionBorrower): Promise<void> {
    if (await isExpected(peer, this.#endpoint, this.#parts)) {
      if (!lent.session.closing) {
        this.#lend(lent, borrower)
        return
      }
    } else lent.socket.destroy()
    lent.streams--
    this.#take(borrower)
  }

  #lend(lent: Lent, borrower: SessionBorrower): void {
    const { address, port } = this.#endpoint
    let released = false
    borrower.onSession(lent.session, `${address}:${port}`, () => {
      if (released) return
      released = true
      lent.streams--
      lent.idleSinceMs = this.#parts.nowMs()
      this.#serve()
    })
  }

  #connect(): void {
    const { address: host, port, identity, outside } = this.#endpoint
    this.#connecting++
    const target = { host, port, noDelay: true }
    const socket = outside
      ? connectOutside(outside, target, this.#parts.outside, true)
      : identity === undefined
        ? connectTcp(target)
        : connectTls({ ...clientTls(this.#parts.source.current(), true), ...target })
    let settled = false
    const settle = (): boolean => {
      if (settled) return false
      settled = true
      clearTimeout(timer)
      this.#connecting--
      return true
    }
    const failed = (code: UpstreamFailure | 'http1'): void => {
      socket.destroy()
      if (!settle()) return
      // HTTP/1.1 is the answer for all of them; another failure is one connection's.
      const told = code === 'http1' ? this.#waiting.splice(0) : this.#waiting.splice(0, this.#parts.limits.streams)
      for (const borrower of told) borrower.onNoSession(code)
      this.#serve()
    }
    const timer = setTimeout(() => failed('upstream_unreachable'), this.#parts.limits.connectMs)
    socket.on('error', () => {})
    socket.on('close', () => {
      const refused = (socket as Partial<TLSSocket>).authorizationError
      failed(refused ? 'upstream_identity' : 'upstream_unreachable')
    })
    const open = (peer: Peer | undefined): void => {
      if (this.#closed || !settle()) {
        socket.destroy()
        return
      }
      const { limits, nowMs } = this.#parts
      const joined = joinHttp2(
        socket,
        { role: 'client', limits, nowMs },
        {
          onRoom: () => this.#serve(),
          onClosed: () => {
            this.#all.delete(lent)
            if (!this.#closed) this.#serve()
          },
        },
      )
      const { session } = joined
      const lent: Lent = { socket: joined, session, peer, streams: 0, idleSinceMs: nowMs(), stale: false }
      this.#all.add(lent)
      this.#serve()
    }
    const speaks = (): boolean => {
      if ((socket as TLSSocket).alpnProtocol === 'h2') return true
      this.#http1UntilMs = this.#parts.nowMs() + http1ForMs
      failed('http1')
      return false
    }
    if (outside?.tls) socket.on('secureConnect', () => speaks() && open(undefined))
    else if (identity === undefined) socket.on('connect', () => open(undefined))
    else {
      socket.on('secureConnect', async () => {
        const shown = peerOf(socket as TLSSocket)
        if ('wrong' in shown || !(await isExpected(shown.peer, this.#endpoint, this.#parts))) {
          failed('upstream_identity')
          return
        }
        if (speaks()) open(shown.peer)
      })
    }
  }
}
