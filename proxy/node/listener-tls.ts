/** TLS of a listener: what it shows, whom it asks for a certificate, and who its callers turn out to be. */

import type { TLSSocket, TlsOptions } from 'node:tls'
import type { Peer } from '../../core/identity.ts'
import type { IdentitySource } from '../../core/ports.ts'
import { makeKnownLeaves } from './known-leaves.ts'
import { peerOf } from './peer.ts'
import { serverTls } from './tls.ts'

/** Who is at the other end of a finished handshake, or why nobody is let in. */
export type Shown = { readonly peer: Peer } | { readonly wrong: string }

export interface ListenerTls {
  /** All options: for the server, and for each context that takes the place of its first one. Throws where they do not fit. */
  options(): TlsOptions
  shown(socket: TLSSocket, nowMs: number): Shown
  /** Told of a peer that has proven its name, by certificates that hold until `untilMs`. Default nobody needs to know. */
  proven?(peer: Peer, untilMs: number): void
  /** Calls back where the options or the callers' identities have to be looked at again, until the returned function is called. */
  subscribe(changed: () => void): () => void
}

/** Mutual TLS between proxies: both show their SVIDs. */
export function meshTls(source: IdentitySource, protocols?: readonly string[]): ListenerTls {
  const leaves = makeKnownLeaves()
  return {
    options: () => serverTls(source.current(), protocols),
    shown: (socket, nowMs) => peerOf(socket, (leaf) => leaves.find(leaf, nowMs)),
    proven: (peer, untilMs) => leaves.keep(peer, untilMs),
    subscribe: (changed) =>
      source.subscribe(() => {
        leaves.clear()
        changed()
      }),
  }
}
