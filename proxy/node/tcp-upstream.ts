/**
 * Connections to upstreams that are passed as bytes: one for each of the caller's, never lent again, each side closed on
 * its own. A proxy proves its name right after the handshake, and again as often as it is asked.
 */

import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Peer } from '../../core/identity.ts'
import type { Endpoint } from '../../core/snapshot.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import { peerOf } from './peer.ts'
import { isExpected, type PoolParts } from './pool.ts'
import { opaqueTls } from './tls.ts'

export interface TcpUpstream {
  readonly socket: Socket
  /** `address:port`, as outcomes name it. */
  readonly name: string
  /** Whether it still proves the name that it is to have. */
  holds(): Promise<boolean>
}

/** `requestId`: what joins the records of both proxies. Bounded by `connectMs`. */
export type ConnectTcp = (endpoint: Endpoint, requestId: string) => Promise<TcpUpstream | UpstreamFailure>

/** The id travels as the name of the server, which nothing else here is chosen by (RFC 6066 section 3). */
const idDomain = '.writ-tcp.invalid'
const idShape = /^([0-9a-f]{32})\.writ-tcp\.invalid$/

export const requestIdIn = (servername: string | false | undefined | null): string | undefined =>
  servername ? idShape.exec(servername)?.[1] : undefined

export const makeConnectTcp =
  (parts: PoolParts): ConnectTcp =>
  (endpoint, requestId) =>
    new Promise((resolve) => {
      const { address: host, port, identity } = endpoint
      const target = { host, port, noDelay: true, allowHalfOpen: true }
      const tcp = connectTcp(target) // One of our own also below TLS: only that one can be reset.
      const names = { servername: requestId + idDomain }
      const socket =
        identity === undefined ? tcp : connectTls({ ...opaqueTls(parts.source.current()), ...names, socket: tcp })
      if (socket !== tcp) tcp.on('error', () => {})
      const name = `${host}:${port}`
      let settled = false
      const settle = (answer: TcpUpstream | UpstreamFailure): void => {
        if (typeof answer === 'string') socket.destroy()
        if (settled) return
        settled = true
        clearTimeout(timer)
        resolve(answer)
      }
      const timer = setTimeout(() => settle('upstream_unreachable'), parts.limits.connectMs)
      socket.on('error', () => {}) // The close that follows says so.
      socket.on('close', () => {
        const refused = (socket as Partial<TLSSocket>).authorizationError
        settle(refused ? 'upstream_identity' : 'upstream_unreachable')
      })
      if (identity === undefined) {
        socket.on('connect', () => settle({ socket, name, holds: async () => true }))
        return
      }
      socket.on('secureConnect', async () => {
        const shown = peerOf(socket as TLSSocket)
        if ('wrong' in shown) return settle('upstream_identity')
        const holds = holding(shown.peer, endpoint, parts)
        settle((await holds()) ? { socket, name, holds } : 'upstream_identity')
      })
    })

const holding = (peer: Peer, endpoint: Endpoint, parts: PoolParts) => (): Promise<boolean> =>
  isExpected(peer, endpoint, parts)
