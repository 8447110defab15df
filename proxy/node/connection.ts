/** What a listener and its connections know of each other, whatever they speak. */

import type { Socket } from 'node:net'
import type { Peer } from '../../core/identity.ts'
import type { Limits } from '../limits.ts'
import type { Parts } from '../serve.ts'
import type { Pools } from './legs.ts'

/** What a listener brings to each of its connections. */
export interface CallerParts {
  readonly scheme: 'http' | 'https'
  readonly limits: Limits
  readonly pools: Pools
  /** The parts in force, asked for each request. */
  parts(): Parts
  /** Coarse time in milliseconds, moved by the listener's sweep. */
  clockMs(): number
  onServed(): void
  onFault(text: string): void
  onClosed(connection: Connection): void
  /** A plain connection turned out to speak HTTP/2. What it has sent can be read from it again. */
  onHttp2(connection: Connection, socket: Socket): void
}

export interface Connection {
  readonly peer: Peer
  /** No further request after those in flight. */
  drain(): void
  /** Its peer is nobody any more. */
  revoke(): void
  /** Ends what is in flight, now. */
  stop(): void
  /** Time moves: closes what has been silent, slow or here for too long. */
  sweep(nowMs: number): void
}
