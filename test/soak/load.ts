/** Clients of the soak: each has a connection of its own, asks, checks the answer to the letter, and waits a while. */

import { Agent, request } from 'node:http'

/** From when until when the application could not answer, in milliseconds. */
export interface Outage {
  readonly fromMs: number
  toMs: number
}

export interface LoadOptions {
  readonly port: number
  readonly clients: number
  /** Requests a second, all together. */
  readonly rate: number
  readonly outages: readonly Outage[]
}

export interface Tally {
  asked: number
  /** Requests that the policy lets through, whatever became of them. */
  allowed: number
  denied: number
  served: number
  refused: number
  /** Failures while the application was down. */
  explained: number
  readonly unexplained: string[]
  /** Milliseconds, of requests that were served. */
  readonly times: number[]
}

/** An outage goes on for a moment in connections that were kept. */
const graceMs = 1000
const limitMs = 20_000
const kinds = ['get', 'get', 'get', 'post', 'chunks', 'stream', 'closed'] as const
type Kind = (typeof kinds)[number]

export function startLoad({ port, clients, rate, outages }: LoadOptions): { tally: Tally; stop(): Promise<Tally> } {
  const tally: Tally = {
    ...{ asked: 0, allowed: 0, denied: 0, served: 0, refused: 0, explained: 0 },
    ...{ unexplained: [], times: [] },
  }
  const pauseMs = (clients / rate) * 1000
  let going = true
  /** Clients that wait, by what ends their wait. */
  const waiting = new Set<() => void>()

  const isOutage = (fromMs: number, toMs: number): boolean =>
    outages.some((one) => fromMs <= one.toMs + graceMs && toMs >= one.fromMs)

  async function client(number: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    await wait(Math.random() * pauseMs)
    for (let i = 0; going; i++) {
      const kind = kinds[Math.floor(Math.random() * kinds.length)]!
      const fromMs = Date.now()
      const wrong = await ask(port, agent, kind, `${number}-${i}`)
      const toMs = Date.now()
      tally.asked++
      tally[kind === 'closed' ? 'denied' : 'allowed']++
      if (wrong === undefined) {
        tally[kind === 'closed' ? 'refused' : 'served']++
        if (kind !== 'closed') tally.times.push(toMs - fromMs)
      } else if (kind !== 'closed' && isOutage(fromMs, toMs)) tally.explained++
      else tally.unexplained.push(`${new Date(fromMs).toISOString()} ${kind}: ${wrong} after ${toMs - fromMs} ms`)
      await wait(pauseMs * (0.5 + Math.random()))
    }
    agent.destroy()
  }

  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (!going) return resolve()
      const end = (): void => {
        clearTimeout(timer)
        waiting.delete(end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      waiting.add(end)
    })

  const all = Promise.all(Array.from({ length: clients }, (_, number) => client(number)))
  return {
    tally,
    async stop() {
      going = false
      for (const end of [...waiting]) end()
      await all
      return tally
    },
  }
}

/** What was wrong with the answer; undefined where all of it was as it must be. */
function ask(port: number, agent: Agent, kind: Kind, id: string): Promise<string | undefined> {
  const sends = kind === 'post' || kind === 'chunks'
  const body = sends ? 'b'.repeat(1 + Math.floor(Math.random() * 30_000)) : ''
  const path = kind === 'closed' ? '/closed' : kind === 'stream' ? '/open/stream' : '/open'
  const headers = { host: 'orders', 'x-soak': id, ...(kind === 'post' && { 'content-length': body.length }) }
  return new Promise((resolve) => {
    const asked = request(
      { port, host: '127.0.0.1', agent, path, method: sends ? 'POST' : 'GET', headers },
      (answer) => {
        let text = ''
        answer.setEncoding('latin1')
        answer.on('data', (part: string) => {
          text += part
        })
        answer.on('error', (error) => resolve(`cut: ${error.message}`))
        answer.on('end', () => {
          const wanted = `${sends ? 'POST' : 'GET'} ${body.length}\n${kind === 'stream' ? 'x'.repeat(20_000) : ''}`
          const status = kind === 'closed' ? 403 : 200
          if (answer.statusCode !== status) resolve(`${answer.statusCode} ${text.slice(0, 300)}`)
          else if (status === 403) resolve(text.includes('policy_denied') ? undefined : `403 ${text.slice(0, 300)}`)
          else if (answer.headers['x-soak'] !== id) resolve(`the answer of ${answer.headers['x-soak']}`)
          else resolve(text === wanted ? undefined : `another body: ${text.slice(0, 80)}`)
        })
      },
    )
    asked.setTimeout(limitMs, () => asked.destroy(new Error(`nothing for ${limitMs} ms`)))
    asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    if (kind === 'chunks') asked.write(body.slice(0, body.length / 2))
    asked.end(kind === 'chunks' ? body.slice(body.length / 2) : body)
  })
}

/** Whether the two rules that take turns say that this bundle is in force. What was asked for that is counted. */
export async function isInForce(
  port: number,
  number: number,
  probes: { allowed: number; denied: number },
): Promise<boolean> {
  const statusOf = (path: string): Promise<number> =>
    new Promise((resolve) => {
      const headers = { host: 'orders', 'x-soak': 'turn' }
      request({ port, host: '127.0.0.1', agent: false, path, headers }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
      })
        .on('error', () => resolve(0))
        .end()
    })
  const [open, shut] = number % 2 === 0 ? ['even', 'odd'] : ['odd', 'even']
  const said = [await statusOf(`/turn/${open}`), await statusOf(`/turn/${shut}`)]
  for (const status of said) probes[status === 403 ? 'denied' : 'allowed']++
  return said[0] !== 403 && said[1] === 403
}
