/** Reads what a connection of TLS asks for before anybody answers: some names are passed on as bytes, all others end here. */

import type { Socket } from 'node:net'
import { readClientHello } from '../tls/client-hello.ts'

export interface TlsFront {
  /** Time for the first message, in milliseconds. */
  readonly timeoutMs: number
  /** The name it asks for, once that is known. What was read can be read again. */
  onHello(socket: Socket, serverName: string | undefined): void
  onRefused(socket: Socket, code: 'handshake_failed' | 'handshake_timeout', detail: string): void
}

export function readHello(socket: Socket, { timeoutMs, onHello, onRefused }: TlsFront): void {
  let held: Buffer = Buffer.alloc(0)
  const timer = setTimeout(() => {
    over()
    onRefused(socket, 'handshake_timeout', 'no first message of TLS in time')
  }, timeoutMs)
  const over = (): void => {
    clearTimeout(timer)
    socket.pause()
    socket.off('data', onData).off('end', onEnd).off('close', over)
  }
  const onEnd = (): void => {
    over()
    onRefused(socket, 'handshake_failed', 'closed before its first message')
  }
  const onData = (bytes: Buffer): void => {
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes]) // At most two hellos: longer ones are refused.
    const hello = readClientHello(held)
    if (hello.kind === 'more') return
    over()
    if (hello.kind === 'bad') {
      onRefused(socket, 'handshake_failed', hello.detail)
      return
    }
    socket.unshift(held)
    onHello(socket, hello.serverName)
  }
  socket.on('error', () => {}) // What matters about it is the close that follows.
  socket.on('data', onData).on('end', onEnd).on('close', over)
}
