/**
 * Connections to upstreams, kept for the next request to the same address, port and name. Bounded in number, and so are
 * the requests that wait for one. A mutual TLS upstream proves its name right after the handshake, and again each time
 * its connection is lent.
 */

import { connect as connectTcp, type Socket, type TcpSocketConnectOpts } from 'node:net'
import { type ConnectionOptions, connect as connectTls, TLSSocket } from 'node:tls'
import type { IdentityState, Peer } from '../../core/identity.ts'
import type { Identify, IdentitySource } from '../../core/ports.ts'
import type { Endpoint } from '../../core/snapshot.ts'
import type { ServiceBounds } from '../../core/traffic.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import type { Limits } from '../limits.ts'
import { ByEndpoint } from './by-endpoint.ts'
import { connectOutside, type OutsideWorld } from './outside.ts'
import { peerOf } from './peer.ts'
import { ReadBuffer } from './read-buffer.ts'
import { clientTls } from './tls.ts'

/** Who asked for a connection. Exactly one of the two is called, perhaps before `acquire` returns. */
export interface Borrower {
  onUpstream(upstream: Upstream): void
  onNoUpstream(code: UpstreamFailure): void
}

/** Who has a connection, until it is given back. */
export interface UpstreamUser {
  /** `bytes` is used again as soon as this returns, unless lent. False holds further ones back until `socket.resume()`. */
  onUpstreamBytes(bytes: Buffer, length: number): boolean
  onUpstreamDrain(): void
  /**
   * The upstream will send no more: `clean` where it said so, rather than broke. Below TLS that is the word of whoever is
   * on the way: `Upstream.endIsProven`.
   */
  onUpstreamEnd(clean: boolean): void
}

export interface PoolParts {
  readonly limits: Limits
  readonly nowMs: () => number
  /** The workload's own identity, for upstreams that have to prove theirs. */
  readonly source: IdentitySource
  readonly identify: Identify
  /** How hosts outside of the mesh are reached. Default they are not. */
  readonly outside?: OutsideWorld | undefined
}

export interface Pool {
  /** `bounds`: in place of the limits' own, from now on. */
  acquire(endpoint: Endpoint, borrower: Borrower, bounds?: ServiceBounds): void
  /** The borrower no longer waits. */
  cancel(endpoint: Endpoint, borrower: Borrower): void
  /** Lets go of unused connections to this endpoint: one of them has just turned out dead. */
  forget(endpoint: Endpoint): void
  sweep(): void
  close(): void
  open(): number
}

export class Upstream {
  readonly socket: Socket
  /** `address:port`, as outcomes name it. */
  readonly name: string
  /** Whether it has answered a request before. */
  reused = false
  user: UpstreamUser | undefined
  peer: Peer | undefined
  /** Made with an identity that has changed since. */
  stale = false
  idleSinceMs = 0
  readonly #reads: ReadBuffer
  readonly #giveBack: (upstream: Upstream, keep: boolean) => void

  /** `reads` is what `socket` reads into. */
  constructor(name: string, socket: Socket, reads: ReadBuffer, giveBack: (upstream: Upstream, keep: boolean) => void) {
    this.name = name
    this.socket = socket
    this.#reads = reads
    this.#giveBack = giveBack
    socket.on('drain', () => this.user?.onUpstreamDrain())
    socket.on('end', () => this.#over(true))
    socket.on('error', () => this.#over(false))
    socket.on('close', () => this.#over(false))
  }

  /**
   * Whether a clean end is surely the upstream's. Node ends a TLS socket alike after a `close_notify` and after a mere FIN,
   * which anybody on the way can make (RFC 8446 section 6.1): a body that ends with its connection is not known to be whole.
   */
  get endIsProven(): boolean {
    return !(this.socket instanceof TLSSocket)
  }

  /** Ends the loan. `keep` where the connection is in order for the next request. */
  release(keep: boolean): void {
    this.user = undefined
    this.#giveBack(this, keep)
  }

  /**
   * Within `onUpstreamBytes`: its bytes stay as they are until what is returned has been called, once. Undefined where
   * they have to be copied.
   */
  lend(): (() => void) | undefined {
    return this.#reads.lend()
  }

  onBytes(length: number, bytes: Uint8Array): boolean {
    if (this.user) return this.user.onUpstreamBytes(bytes as Buffer, length)
    this.socket.destroy() // Nobody asked: these bytes must not become the answer to somebody's request.
    return true
  }

  #over(clean: boolean): void {
    const user = this.user
    if (user) user.onUpstreamEnd(clean)
    else this.socket.destroy()
  }
}

/** Node reads `onread` here as it does for TCP; its types do not know. */
const provingTls = (state: IdentityState, target: TcpSocketConnectOpts): ConnectionOptions => ({
  ...clientTls(state),
  ...target,
})

/** Whether the other end still proves the name that the endpoint is to have. */
export async function isExpected(peer: Peer, endpoint: Endpoint, parts: PoolParts): Promise<boolean> {
  const answer = await parts.identify(peer, parts.nowMs())
  return answer.ok && answer.identity.id === endpoint.identity
}

export function makePool(parts: PoolParts): Pool {
  const pools = new ByEndpoint(parts.source, (endpoint) => new EndpointConnections(endpoint, parts))
  return {
    acquire: (endpoint, borrower, bounds) => pools.of(endpoint).acquire(borrower, bounds),
    cancel: (endpoint, borrower) => pools.of(endpoint).cancel(borrower),
    forget: (endpoint) => pools.of(endpoint).dropIdle(),
    sweep: () => pools.sweep(),
    close: () => pools.close(),
    open: () => pools.open(),
  }
}

/** Connections to one endpoint. */
class EndpointConnections {
  readonly #endpoint: Endpoint
  readonly #parts: PoolParts
  readonly #all = new Set<Upstream>()
  readonly #idle: Upstream[] = []
  readonly #waiting: Borrower[] = []
  #bounds: ServiceBounds | undefined
  #connecting = 0
  #closed = false
  /** Time of the last sweep: near enough to count an idle connection's time from, and too early rather than too late. */
  #sweptMs: number

  constructor(endpoint: Endpoint, parts: PoolParts) {
    this.#endpoint = endpoint
    this.#parts = parts
    this.#sweptMs = parts.nowMs()
  }

  get size(): number {
    return this.#all.size
  }

  get empty(): boolean {
    return this.#all.size === 0 && this.#waiting.length === 0
  }

  acquire(borrower: Borrower, bounds?: ServiceBounds): void {
    this.#bounds = bounds
    this.#take(borrower)
  }

  #take(borrower: Borrower): void {
    const upstream = this.#idle.pop()
    if (upstream?.peer) void this.#lendProven(upstream, upstream.peer, borrower)
    else if (upstream) borrower.onUpstream(upstream)
    else if (this.#isFull) borrower.onNoUpstream('upstream_overflow')
    else {
      this.#waiting.push(borrower)
      this.#connectForWaiting()
    }
  }

  cancel(borrower: Borrower): void {
    const at = this.#waiting.indexOf(borrower)
    if (at >= 0) this.#waiting.splice(at, 1)
  }

  dropIdle(): void {
    for (const upstream of this.#idle.splice(0)) upstream.socket.destroy()
  }

  /** The identity changed: new requests use connections made with the new one. */
  renew(): void {
    if (this.#endpoint.identity === undefined) return
    for (const upstream of this.#all) upstream.stale = true
    this.dropIdle()
  }

  sweep(): void {
    const { limits, nowMs } = this.#parts
    this.#sweptMs = nowMs()
    const oldest = this.#sweptMs - (this.#endpoint.identity === undefined ? limits.appIdleMs : limits.upstreamIdleMs)
    while (this.#idle[0] && this.#idle[0].idleSinceMs < oldest) this.#idle.shift()!.socket.destroy()
  }

  close(): void {
    this.#closed = true
    for (const borrower of this.#waiting.splice(0)) borrower.onNoUpstream('drained')
    for (const upstream of this.#all) upstream.socket.destroy()
  }

  /** Lends a kept connection if its peer is still who it was. */
  async #lendProven(upstream: Upstream, peer: Peer, borrower: Borrower): Promise<void> {
    if (await isExpected(peer, this.#endpoint, this.#parts)) {
      if (!upstream.socket.destroyed) return borrower.onUpstream(upstream)
    } else upstream.socket.destroy()
    this.#take(borrower)
  }

  get #most(): number {
    return this.#bounds?.upstreams ?? this.#parts.limits.upstreams
  }

  /** Those for whom a connection is being made do not count. */
  get #isFull(): boolean {
    const pending = this.#bounds?.pending ?? this.#parts.limits.pending
    return this.#all.size >= this.#most && this.#waiting.length - this.#connecting >= pending
  }

  #connectForWaiting(): void {
    while (this.#waiting.length > this.#connecting && this.#all.size < this.#most) this.#connect()
  }

  #connect(): void {
    const { address: host, port, identity } = this.#endpoint
    this.#connecting++
    const reads = new ReadBuffer()
    let length = 0
    const onread = {
      buffer: (): Buffer => reads.after(length), // Asked before the first read and after each.
      callback(read: number, bytes: Uint8Array): boolean {
        length = read
        return upstream.onBytes(read, bytes)
      },
    }
    const target = { host, port, onread, noDelay: true }
    const { outside } = this.#endpoint
    const socket = outside
      ? connectOutside(outside, target, this.#parts.outside)
      : identity === undefined
        ? connectTcp(target)
        : connectTls(provingTls(this.#parts.source.current(), target))
    const upstream = new Upstream(`${host}:${port}`, socket, reads, (one, keep) => this.#takeBack(one, keep))
    this.#all.add(upstream)

    const timer = setTimeout(() => failed('upstream_unreachable'), this.#parts.limits.connectMs)
    let settled = false
    const settle = (): boolean => {
      if (settled) return false
      settled = true
      clearTimeout(timer)
      this.#connecting--
      return true
    }
    const failed = (code: UpstreamFailure): void => {
      socket.destroy()
      if (!settle()) return
      this.#all.delete(upstream)
      this.#waiting.shift()?.onNoUpstream(code)
      this.#connectForWaiting()
    }
    socket.on('close', () => {
      // Only a certificate that Node itself refused has set this.
      const refused = (socket as Partial<TLSSocket>).authorizationError
      failed(refused ? 'upstream_identity' : 'upstream_unreachable')
      this.#gone(upstream)
    })
    if (identity === undefined) {
      socket.on(outside?.tls ? 'secureConnect' : 'connect', () => settle() && this.#offer(upstream))
    } else {
      socket.on('secureConnect', async () => {
        const shown = peerOf(socket as TLSSocket)
        if ('wrong' in shown || !(await isExpected(shown.peer, this.#endpoint, this.#parts)))
          return failed('upstream_identity')
        upstream.peer = shown.peer
        if (settle()) this.#offer(upstream)
      })
    }
  }

  #takeBack(upstream: Upstream, keep: boolean): void {
    if (!keep || upstream.stale || this.#closed || upstream.socket.destroyed) upstream.socket.destroy()
    else {
      upstream.reused = true
      this.#offer(upstream)
    }
  }

  /** To the first that waits, else to the side. */
  #offer(upstream: Upstream): void {
    if (upstream.socket.destroyed) return
    const borrower = this.#waiting.shift()
    if (borrower) {
      borrower.onUpstream(upstream)
      return
    }
    upstream.idleSinceMs = this.#sweptMs
    this.#idle.push(upstream)
  }

  #gone(upstream: Upstream): void {
    this.#all.delete(upstream)
    const at = this.#idle.indexOf(upstream)
    if (at >= 0) this.#idle.splice(at, 1)
    if (!this.#closed) this.#connectForWaiting()
  }
}
