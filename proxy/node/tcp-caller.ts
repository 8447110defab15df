/**
 * A caller's connection that is passed as bytes: judged once, joined to the upstream, and judged again as long as it is
 * open. Each direction ends on its own, and whoever is slow holds the other side back.
 */

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { messageOf } from '../../core/fault.ts'
import type { Peer } from '../../core/identity.ts'
import type { Outcome, OutcomeCode } from '../../core/outcome.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { Found } from '../flow/route.ts'
import { noAnswer, type OpaqueConnection, serveConnection } from '../serve-connection.ts'
import type { CallerParts, Connection } from './connection.ts'
import { requestIdIn, type TcpUpstream } from './tcp-upstream.ts'
import { reset } from './under.ts'

export class TcpCaller implements Connection, OpaqueConnection {
  readonly peer: Peer
  readonly local: { readonly address: string; readonly port: number }
  readonly requestId: string | undefined
  readonly #socket: Socket
  readonly #listener: CallerParts
  readonly #startMs = performance.now()
  #sinceMs: number
  #upstream: TcpUpstream | undefined
  /** Whether the other end is a proxy, which records the connection too. */
  /** The proxy of the mesh that it was connected to. */
  #calls: SpiffeId | undefined
  #stillAllowed: (() => Promise<boolean>) | undefined
  #judging = false
  #finish: ((outcome: Outcome) => void) | undefined
  #sent = 0
  #received = 0
  #callerEnded = false
  #upstreamEnded = false
  /** Why it is over, from the moment it is. */
  #code: OutcomeCode | undefined

  constructor(socket: Socket, peer: Peer, listener: CallerParts) {
    this.peer = peer
    this.local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
    this.requestId = requestIdIn((socket as Partial<TLSSocket>).servername)
    this.#socket = socket
    this.#listener = listener
    this.#sinceMs = listener.clockMs()
    socket.on('error', () => {}) // What matters about it is the close that follows.
    socket.on('close', () => {
      listener.onClosed(this)
      this.#closed('caller_gone')
    })
    serveConnection(this, listener.parts(), () => listener.parts())
      .catch((thrown: unknown) => {
        listener.onFault(messageOf(thrown))
        this.fail('upstream_reset')
      })
      .finally(() => listener.onServed())
  }

  refuse(): Outcome {
    this.#code ??= 'refused'
    reset(this.#socket)
    return this.#outcome()
  }

  async forward(found: Found, requestId: string, stillAllowed: () => Promise<boolean>): Promise<Outcome> {
    const upstream = await this.#listener.pools.connectTcp(found.endpoint, requestId)
    if (typeof upstream === 'string') this.fail(upstream)
    else if (this.#code !== undefined) upstream.socket.destroy()
    else {
      this.#upstream = upstream
      this.#calls = found.endpoint.identity
      this.#stillAllowed = stillAllowed
      return new Promise((resolve) => {
        this.#finish = resolve
        this.#join(upstream)
      })
    }
    return this.#outcome()
  }

  /** What is open goes on; only its time to finish runs. */
  drain(): void {}

  revoke(): void {
    this.fail('revoked')
  }

  stop(): void {
    this.fail('drained')
  }

  sweep(nowMs: number): void {
    if (nowMs - this.#sinceMs > this.#listener.limits.stallMs) this.fail('upstream_timeout')
    else if (this.#stillAllowed) void this.#judgeAgain(this.#stillAllowed)
  }

  /** Ends both sides, so that each sees that what it has is not whole. */
  fail(code: OutcomeCode): void {
    this.#code ??= code
    reset(this.#socket)
    if (this.#upstream) reset(this.#upstream.socket)
    this.#finish?.(this.#outcome())
  }

  #join({ socket: upstream }: TcpUpstream): void {
    const caller = this.#socket
    caller.on('data', (bytes: Buffer) => {
      this.#sent += bytes.length
      this.#touch()
    })
    caller.on('drain', () => this.#touch())
    caller.on('end', () => {
      this.#callerEnded = true
    })
    upstream.on('data', (bytes: Buffer) => {
      this.#received += bytes.length
      this.#touch()
    })
    upstream.on('drain', () => this.#touch())
    upstream.on('end', () => {
      this.#upstreamEnded = true
    })
    upstream.on('close', () => this.#closed('upstream_reset'))
    if (upstream.destroyed) {
      this.fail('upstream_reset')
      return
    }
    caller.pipe(upstream) // An end goes over as an end, and a full buffer pauses the side that fills it.
    upstream.pipe(caller)
    this.#touch()
  }

  /** Both have said all they had: the other one may still be writing what is left. */
  #closed(code: OutcomeCode): void {
    if (!this.#callerEnded || !this.#upstreamEnded) {
      this.fail(code)
      return
    }
    if (!this.#socket.destroyed || this.#upstream?.socket.destroyed === false) return
    this.#code ??= 'completed'
    this.#finish?.(this.#outcome())
  }

  async #judgeAgain(stillAllowed: () => Promise<boolean>): Promise<void> {
    if (this.#judging) return
    this.#judging = true
    const holds = await this.#upstream?.holds().catch(() => false)
    if (holds === false) this.fail('upstream_identity')
    else if (!(await stillAllowed().catch(() => false))) this.fail('revoked')
    this.#judging = false
  }

  #touch(): void {
    this.#sinceMs = this.#listener.clockMs()
  }

  #outcome(): Outcome {
    return {
      code: this.#code ?? 'completed',
      status: 0,
      requestBytes: this.#sent,
      responseBytes: this.#received,
      durationUs: Math.round((performance.now() - this.#startMs) * 1000),
      upstream: this.#upstream?.name ?? '',
      ...(this.#calls !== undefined && { peer: noAnswer(this.#calls) }),
    }
  }
}
