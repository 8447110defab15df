/** A steady stream of calls through a workload's outbound listener, each of which must be answered with 200. */

import { Agent, request } from 'node:http'

export interface Traffic {
  /** Ends it, and says how many were asked and what went wrong, each with its time. */
  stop(): Promise<{ readonly asked: number; readonly failed: readonly string[] }>
}

/** `rate` requests a second, as whole ones every 20 ms, to the host `orders` on this port of loopback. */
export function startTraffic(port: number, rate: number): Traffic {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  const failed: string[] = []
  const pending = new Set<Promise<void>>()
  let asked = 0
  const ask = (): Promise<void> =>
    new Promise((resolve) => {
      const at = new Date().toISOString()
      const sent = request(
        { agent, host: '127.0.0.1', port, path: `/orders/${asked++}`, headers: { host: 'orders' } },
        (answer) => {
          let text = ''
          answer.setEncoding('utf8').on('data', (part: string) => {
            text += part
          })
          answer.on('end', () => {
            if (answer.statusCode !== 200) failed.push(`${at} ${answer.statusCode} ${text}`)
            resolve()
          })
        },
      )
      sent.on('error', ({ message }) => {
        failed.push(`${at} ${message}`)
        resolve()
      })
      sent.end()
    })
  const timer = setInterval(() => {
    for (let i = 0; i < rate / 50; i++) {
      const one = ask().finally(() => pending.delete(one))
      pending.add(one)
    }
  }, 20)
  return {
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
      agent.destroy()
      return { asked, failed }
    },
  }
}
