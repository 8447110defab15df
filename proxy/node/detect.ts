/** Waits for the first bytes of a connection, but never long: a server may speak first, and then nothing comes. */

import type { Socket } from 'node:net'
import { detected } from '../http1/detect.ts'

/** Calls back once, with all that has come to be read again. After `ms` milliseconds it is `tcp`, and so at an end. */
export function detect(socket: Socket, ms: number, onDetected: (protocol: 'http' | 'tcp') => void): void {
  let held: Buffer = Buffer.alloc(0)
  const over = (protocol: 'http' | 'tcp'): void => {
    clearTimeout(timer)
    socket.off('readable', onReadable).off('close', onClose)
    if (held.length > 0) socket.unshift(held)
    onDetected(protocol)
  }
  const timer = setTimeout(() => over('tcp'), ms)
  const onClose = (): void => {
    clearTimeout(timer)
  }
  // Exactly what is there is read: to read past an end would tell the end to us, who do nothing with it.
  const onReadable = (): void => {
    const { readableLength } = socket
    const bytes: Buffer | null = readableLength === 0 ? null : socket.read(readableLength)
    if (bytes === null) {
      over('tcp') // Its end.
      return
    }
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes]) // Short: a long first line is none.
    const found = detected(held)
    if (found !== 'more') over(found)
  }
  socket.on('error', () => {}) // What matters about it is the close that follows.
  socket.on('readable', onReadable).on('close', onClose)
}
