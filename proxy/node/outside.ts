/**
 * Connections to hosts outside of the mesh. TLS is verified by public roots, or by those that are named, and by the name
 * that was declared; the addresses that a name stands for are looked at before any of them is connected to.
 */

import { connect as connectTcp, isIP, type LookupFunction, Socket, type TcpSocketConnectOpts } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Certificates } from '../../core/ports.ts'
import type { Outside } from '../../core/snapshot.ts'

export interface OutsideWorld {
  /** Finds addresses of a name, and fails where one of them may not be connected to. */
  readonly lookup: (privateAddresses: boolean) => LookupFunction
  readonly certificates: Pick<Certificates, 'roots'>
}

/** `http2`: HTTP/2 is wanted, and HTTP/1.1 is better than nothing. A socket that fails, where nothing outside may be reached. An address in place of a name was declared as one. */
export function connectOutside(
  { tls, privateAddresses }: Outside,
  target: TcpSocketConnectOpts,
  world: OutsideWorld | undefined,
  http2 = false,
): Socket {
  if (!world) return new Socket().destroy(new Error('nothing outside of the mesh is reached from here'))
  const named = isIP(target.host ?? '') === 0
  const to = named ? { ...target, lookup: world.lookup(privateAddresses) } : target
  if (!tls) return connectTcp(to)
  const roots = tls.roots?.map((name) => world.certificates.roots(name)).join('\n')
  if (roots?.trim() === '') return new Socket().destroy(new Error('the roots that it is verified by are not there'))
  return connectTls({
    ...to,
    ...(isIP(tls.serverName) === 0 && { servername: tls.serverName }),
    ...(roots !== undefined && { ca: [roots] }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    ALPNProtocols: http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
  } as TcpSocketConnectOpts)
}
