/** Who is at the other end of a TLS connection, as evidence for `Identify`. Node's own verdict is not asked. */

import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import type { Peer } from '../../core/identity.ts'

/** Certificates of a chain that are looked at; SVID chains have two or three. */
const maxChain = 8

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

/**
 * DER, the leaf first. Not by `getPeerX509Certificate`: that takes the issuers off OpenSSL's list and frees none of them
 * (Node 24), several KiB for each connection.
 */
function chainOf(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = []
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (certificate?.raw && chain.length < maxChain) {
    chain.push(new Uint8Array(certificate.raw))
    const { issuerCertificate: issuer }: DetailedPeerCertificate = certificate
    certificate = issuer === certificate ? undefined : issuer // One that signed itself is its own.
  }
  return chain
}
