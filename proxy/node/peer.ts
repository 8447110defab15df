/** What the other end of a TLS connection showed, for `Identify` to judge. */

import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { messageOf } from '../../core/fault.ts'
import type { Evidence, Peer } from '../../core/identity.ts'
import { under } from './under.ts'

/** Longest chain that is looked at. A longer one is no chain of any mesh. */
const maxChain = 8

/** The evidence that a leaf, in DER, is known to come with; undefined where it has to be looked at. */
export type KnownLeaf = (leaf: Uint8Array) => Evidence | undefined

/** Why a finished handshake proves nothing, or the peer it was with. */
export function peerOf(socket: TLSSocket, known?: KnownLeaf): { readonly peer: Peer } | { readonly wrong: string } {
  if (socket.isSessionReused()) return { wrong: 'a resumed session' }
  const { remoteAddress: address = '', remotePort: port = 0 } = under(socket) // It has asked already.
  try {
    const leaf = known && leafOf(socket)
    const evidence = (leaf && known(leaf)) ?? { kind: 'x509', chain: chainOf(socket) }
    if (evidence.kind === 'x509' && evidence.chain.length === 0) return { wrong: 'no certificate' }
    return { peer: { evidence, address, port } }
  } catch (thrown) {
    return { wrong: `a certificate that cannot be read: ${messageOf(thrown)}` }
  }
}

/** Node shows an empty object where there is no certificate, and null where there is no connection. */
const isShown = (certificate: object | null): boolean => certificate !== null && 'raw' in certificate

/** DER of the peer's own certificate. */
export function leafOf(socket: TLSSocket): Uint8Array | undefined {
  const leaf = socket.getPeerCertificate()
  return isShown(leaf) ? leaf.raw : undefined
}

/**
 * DER, the leaf first, then the issuers among what was shown. Roots are left out: Node adds them from its own store, and
 * they prove nothing. `getPeerX509Certificate` would show the same, but takes the issuers off OpenSSL's list and frees none
 * of them (Node 24): several KiB lost for each connection, for whoever likes to connect.
 */
function chainOf(socket: TLSSocket): readonly Uint8Array[] {
  const leaf: DetailedPeerCertificate = socket.getPeerCertificate(true)
  if (!isShown(leaf)) return []
  const chain: Uint8Array[] = [leaf.raw]
  // Node lets one that signed itself be its own issuer.
  for (let next = leaf.issuerCertificate; next && chain.length < maxChain; next = next.issuerCertificate) {
    if (next.issuerCertificate === next || chain.some((one) => next.raw.equals(one))) break
    chain.push(next.raw)
  }
  return chain
}
