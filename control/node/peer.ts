/** Who is at the other end of a TLS connection, as evidence for `Identify`. Node's own verdict is not asked. */

import type { TLSSocket } from 'node:tls'
import { chainOf } from '../../ca/node/https.ts'
import type { Peer } from '../../core/identity.ts'

export type PeerOf = (socket: TLSSocket) => Peer

/** One `Peer` for the life of a connection, so that `Identify` finds its last answer again. */
export function peers(): PeerOf {
  const known = new WeakMap<TLSSocket, Peer>()
  return (socket) => {
    const before = known.get(socket)
    if (before) return before
    const chain = chainOf(socket)
    const peer: Peer = {
      evidence: chain.length === 0 ? { kind: 'none' } : { kind: 'x509', chain },
      address: socket.remoteAddress ?? '',
      port: socket.remotePort ?? 0,
    }
    known.set(socket, peer)
    return peer
  }
}
