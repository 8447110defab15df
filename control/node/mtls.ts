/** An HTTPS server for workloads: its own SVID, taken up anew with each change, and no resumption. */

import type { TLSSocket, TlsOptions } from 'node:tls'
import type { IdentityState } from '../../core/identity.ts'
import type { IdentitySource } from '../../core/ports.ts'
import type { DoorApp, Unexpected } from './http.ts'
import { meshTls } from './mesh-tls.ts'
import { type Door, type DoorOptions, followIdentity, openDoor, tlsServer } from './open-door.ts'

export interface MtlsParts {
  readonly app: Pick<DoorApp, 'fetch'>
  /** This process's own SVID; each change of it is taken up by the next handshake. */
  readonly identity: IdentitySource
  /** Shown in its place: a certificate of the Web PKI, PEM. Others of a mesh verify an SVID, strangers a host name. */
  readonly web?: { readonly certificates: string; readonly key: string }
  readonly refused: (source: string, detail: string) => void
  readonly unexpected: Unexpected
}

export async function openMtlsDoor(parts: MtlsParts, options: DoorOptions = {}): Promise<Door> {
  const { app, identity, web, unexpected } = parts
  const tls = (state: IdentityState): TlsOptions => ({
    ...meshTls(state),
    ...(web && { cert: web.certificates, key: web.key, minVersion: 'TLSv1.2' }),
  })
  const server = tlsServer(app, tls(identity.current()), options, 4096)
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.isSessionReused()) socket.destroy() // Its certificate would be a memory.
  })
  server.on('tlsClientError', (thrown: NodeJS.ErrnoException, socket: TLSSocket) => {
    parts.refused(socket.remoteAddress ?? '', thrown.code ?? '')
  })
  return openDoor(server, options, followIdentity(server, identity, tls, unexpected))
}
