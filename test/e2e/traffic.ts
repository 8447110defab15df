/** A steady stream of calls through a workload's outbound listener, each of which must be answered with 200. */

import { Agent, request } from 'node:http'

export interface Traffic {
  /** Ends it, and says how many were asked and what went wrong, each with its time. */
  stop(): Promise<{ readonly asked: number; readonly failed: readonly string[] }>
}

/** `rate` requests a second, to the host `orders` on this port of loopback. */
export function startTraffic(port: number, rate: number): Traffic {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  const traffic = steadily(
    rate,
    (n) =>
      new Promise((resolve) => {
        const sent = request(
          { agent, host: '127.0.0.1', port, path: `/orders/${n}`, headers: { host: 'orders' } },
          (answer) => {
            let text = ''
            answer.setEncoding('utf8').on('data', (part: string) => {
              text += part
            })
            answer.on('end', () => resolve(answer.statusCode === 200 ? undefined : `${answer.statusCode} ${text}`))
          },
        )
        sent.on('error', ({ message }) => resolve(message))
        sent.end()
      }),
  )
  return {
    async stop() {
      const ended = await traffic.stop()
      agent.destroy()
      return ended
    },
  }
}

/** Asks `rate` times a second, as whole ones every 20 ms; what `ask` resolves to is what went wrong. */
export function steadily(rate: number, ask: (n: number) => Promise<string | undefined>): Traffic {
  const failed: string[] = []
  const pending = new Set<Promise<void>>()
  let asked = 0
  let due = 0
  const one = async (): Promise<void> => {
    const at = new Date().toISOString()
    const wrong = await ask(asked++)
    if (wrong !== undefined) failed.push(`${at} ${wrong}`)
  }
  const timer = setInterval(() => {
    for (due += rate / 50; due >= 1; due--) {
      const asking = one().finally(() => pending.delete(asking))
      pending.add(asking)
    }
  }, 20)
  return {
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
      return { asked, failed }
    },
  }
}
