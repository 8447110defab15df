/** Ports for parts that must keep theirs over a restart. */

import { connect, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * A free loopback port below the range that the kernel gives to outgoing connections (from 32768 on): while the part
 * is down nobody else is handed it, and no client that knocks on it can end up connected to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000)
    if (await canListen(port)) return port
  }
}

const canListen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })

/** Whether somebody takes connections on this loopback port now. */
export const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })

/** Resolves when the port takes connections; rejects when `orUntil` settles first or it takes longer than `withinMs`. */
export async function portAnswers(port: number, withinMs: number, orUntil: Promise<unknown>): Promise<void> {
  let over = false
  const end = (): void => {
    over = true
  }
  orUntil.then(end, end)
  const lateAt = Date.now() + withinMs
  while (!(await answers(port))) {
    if (over) throw new Error(`it ended before port ${port} answered`)
    if (Date.now() > lateAt) throw new Error(`port ${port} did not answer in ${withinMs} ms`)
    await pause(25)
  }
}
