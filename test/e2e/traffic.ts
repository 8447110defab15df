/** A steady stream of calls, each of which must be answered with 200. */

import { startLoad } from '../parts/vegeta.ts'

export interface Traffic {
  /** Ends it, and says how many were asked and what went wrong. */
  stop(): Promise<{ readonly asked: number; readonly failed: readonly string[] }>
}

/** `rate` requests a second to the host `orders` on this port of loopback, by a process of its own. */
export async function startTraffic(port: number, rate: number): Promise<Traffic> {
  const url = (n: number): string => `http://127.0.0.1:${port}/orders/${n}`
  const targets = Array.from({ length: 1000 }, (_, n) => ({ method: 'GET', url: url(n), header: { Host: ['orders'] } }))
  const load = await startLoad({ targets, rate })
  return {
    async stop() {
      const { requests, status_codes, errors } = await load.stop()
      const refused = Object.entries(status_codes).filter(([code]) => code !== '200')
      return { asked: requests, failed: [...errors, ...refused.map(([code, count]) => `${count} with ${code}`)] }
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
