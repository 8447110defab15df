/**
 * Holds connections open that do nothing: each asks once, so that its caller is known, and is silent from then on.
 * Usage: node bench/idle.ts '{IdleOptions as JSON}'
 */

import { readFileSync } from 'node:fs'
import { connect, type TLSSocket } from 'node:tls'
import { type Child, startChild } from '../test/parts/child.ts'
import type { Certificates } from './certificates.ts'

export interface IdleOptions {
  readonly port: number
  readonly connections: number
  readonly tls: Pick<Certificates, 'caller' | 'roots'>
}

/** Handshakes under way at a time. */
const atOnce = 64

/** Resolves once all are open and silent; whoever kills the child closes them. */
export async function holdIdle(options: IdleOptions, before: readonly string[]): Promise<Child> {
  const [command, ...args] = [...before, process.execPath, import.meta.filename, JSON.stringify(options)]
  const child = startChild(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await child.printed(/^OPEN \d+$/m, 600_000)
  return child
}

async function hold({ port, connections, tls }: IdleOptions): Promise<void> {
  const options = {
    ...{ host: '127.0.0.1', port, ca: readFileSync(tls.roots), checkServerIdentity: () => undefined },
    ...{ cert: readFileSync(tls.caller.cert), key: readFileSync(tls.caller.key) },
  }
  const open: TLSSocket[] = []
  const one = async (): Promise<void> => {
    while (open.length < connections) {
      const socket = connect(options)
      open.push(socket)
      await new Promise<void>((resolve, reject) => {
        socket.once('secureConnect', () =>
          socket.write('GET /orders/known-1 HTTP/1.1\r\nHost: orders.bank.internal\r\n\r\n'),
        )
        socket.once('data', () => resolve())
        socket.once('error', reject)
        socket.once('close', () => reject(new Error(`closed with ${open.length} of ${connections} open`)))
      })
      socket.removeAllListeners('close')
      socket.on('error', () => {})
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  console.log(`OPEN ${open.length}`)
  setInterval(() => {}, 60_000)
}

if (import.meta.main) await hold(JSON.parse(process.argv[2]!) as IdleOptions)
