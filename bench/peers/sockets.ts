/**
 * The floor of any proxy on this runtime: Node's own sockets passing bytes through unread, in a process of its own.
 * Nothing is parsed, nothing judged; each caller has an upstream connection for itself.
 * Usage: node bench/peers/sockets.ts '{SocketsOptions as JSON}'
 */

import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { startChild } from '../../test/parts/child.ts'
import type { Certificates } from '../certificates.ts'
import type { RunningProxy } from '../writ.ts'

interface SocketsOptions {
  readonly upstreamPort: number
  /** Undefined is plain. */
  readonly tls: Pick<Certificates, 'server' | 'roots'> | undefined
}

export async function startSocketsProxy(
  options: SocketsOptions & { readonly before: readonly string[] },
): Promise<RunningProxy> {
  const { before, upstreamPort, tls } = options
  const given = JSON.stringify({ upstreamPort, tls } satisfies SocketsOptions)
  const [command, ...args] = [...before, process.execPath, import.meta.filename, given]
  const child = startChild(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await child.printed(/^PORT \d+$/m, 30_000)
  return {
    port: Number(/^PORT (\d+)$/m.exec(child.logs())![1]),
    pid: () => child.pid,
    remove: async () => {
      await child.kill()
    },
  }
}

function passThrough(caller: Socket, port: number): void {
  const buffer = Buffer.allocUnsafeSlow(65_536)
  const callback = (length: number, bytes: Uint8Array): boolean => {
    caller.write((bytes as Buffer).toString('latin1', 0, length), 'latin1')
    return true
  }
  const target: NetConnectOpts = { host: '127.0.0.1', port, noDelay: true, onread: { buffer, callback } }
  const upstream = connect(target)
  caller.on('data', (bytes) => upstream.write(bytes.toString('latin1'), 'latin1'))
  caller.on('close', () => upstream.destroy())
  for (const socket of [caller, upstream]) socket.on('error', () => caller.destroy())
}

function serve({ upstreamPort, tls }: SocketsOptions): void {
  const accept = (socket: Socket): void => passThrough(socket, upstreamPort)
  const server: Server = tls
    ? createTlsServer(
        {
          ...{ cert: readFileSync(tls.server.cert), key: readFileSync(tls.server.key), ca: readFileSync(tls.roots) },
          ...{ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3', noDelay: true },
        },
        accept,
      )
    : createServer({ noDelay: true }, accept)
  server.listen(0, '127.0.0.1', () => console.log(`PORT ${(server.address() as AddressInfo).port}`))
}

if (import.meta.main) serve(JSON.parse(process.argv[2]!) as SocketsOptions)
