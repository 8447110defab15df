/** What the other end of a TLS connection showed, for `Identify` to judge. */

import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Peer } from '../../core/identity.ts'

/** Longest chain that is looked at. A longer one is no chain of any mesh. */
const maxChain = 8

/** Why a finished handshake proves nothing, or the peer it was with. */
export function peerOf(socket: TLSSocket): { readonly peer: Peer } | { readonly wrong: string } {
  if (socket.isSessionReused()) return { wrong: 'a resumed session' }
  const leaf = socket.getPeerX509Certificate()
  if (!leaf) return { wrong: 'no certificate' }
  return {
    peer: {
      evidence: { kind: 'x509', chain: chainOf(leaf) },
      address: socket.remoteAddress ?? '',
      port: socket.remotePort ?? 0,
    },
  }
}

/** DER, the leaf first. Roots are left out: Node adds them from its own store, and they prove nothing. */
function chainOf(leaf: X509Certificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = [leaf.raw]
  let next = leaf.issuerCertificate
  while (next && chain.length < maxChain && !isSelfSigned(next)) {
    const { raw } = next
    if (chain.some((one) => raw.equals(one))) break
    chain.push(raw)
    next = next.issuerCertificate
  }
  return chain
}

const isSelfSigned = (certificate: X509Certificate): boolean => certificate.checkIssued(certificate)
