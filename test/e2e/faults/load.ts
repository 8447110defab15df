/** A caller that stands outside of everything that is killed, and keeps a journal of each answer it got. */

import { createWriteStream, readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'

export interface Answer {
  readonly path: string
  /** 0 where no response came. */
  readonly status: number
  /** `<epoch>-<seq>` of the decision, as the response names it; empty where it names none. */
  readonly decision: string
  readonly sentMs: number
  readonly gotMs: number
}

export interface Load {
  /** Requests per second from now on. */
  rate: number
  readonly answers: readonly Answer[]
  readonly sent: number
  /** Resolves when nothing is in flight any more. */
  stop(): Promise<void>
}

export interface LoadOptions {
  readonly port: number
  /** PEM files; read again for each connection, since they are renewed. */
  readonly tls: { readonly cert: string; readonly key: string }
  readonly rate: number
  /** Every so-manieth request is one that the policy denies. */
  readonly denyEvery: number
  readonly timeoutMs: number
  /** The journal as a file, a line for each answer. */
  readonly journal: string
}

const tickMs = 10
const maxInFlight = 200

export function startLoad({ port, tls, rate, denyEvery, timeoutMs, journal }: LoadOptions): Load {
  const answers: Answer[] = []
  const file = createWriteStream(journal)
  let sent = 0
  let inFlight = 0
  let owed = 0
  let lastMs = Date.now()
  let idle: (() => void) | undefined
  const credentials = () => ({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) })
  let agent = new Agent({ keepAlive: true, maxSockets: 64 })
  let agentAtMs = Date.now()
  let pem = credentials()

  const ask = (): void => {
    const number = sent++
    const path = number % denyEvery === denyEvery - 1 ? `/secret/${number}` : `/items/${number}`
    const sentMs = Date.now()
    let over = false
    inFlight++
    const done = (status: number, decision = ''): void => {
      if (over) return
      over = true
      const answer = { path, status, decision, sentMs, gotMs: Date.now() }
      answers.push(answer)
      file.write(`${JSON.stringify(answer)}\n`)
      if (--inFlight === 0) idle?.()
    }
    const asking = request(
      // The server's name is a URI, which Node cannot check.
      { host: '127.0.0.1', port, path, agent, rejectUnauthorized: false, timeout: timeoutMs, ...pem },
      (response) => {
        // The answer begins with its head: from then on it was given.
        done(response.statusCode ?? 0, String(response.headers['x-writ-decision'] ?? ''))
        response.on('error', () => {})
        response.resume()
      },
    )
    asking.on('timeout', () => asking.destroy())
    asking.on('error', () => done(0))
    asking.end()
  }

  const timer = setInterval(() => {
    const nowMs = Date.now()
    if (nowMs - agentAtMs > 10_000) {
      agentAtMs = nowMs
      const old = agent
      agent = new Agent({ keepAlive: true, maxSockets: 64 })
      pem = credentials()
      setTimeout(() => old.destroy(), timeoutMs)
    }
    owed = Math.min(owed + ((nowMs - lastMs) / 1000) * load.rate, maxInFlight)
    lastMs = nowMs
    for (; owed >= 1 && inFlight < maxInFlight; owed--) ask()
  }, tickMs)

  const load = {
    rate,
    answers,
    get sent() {
      return sent
    },
    async stop() {
      clearInterval(timer)
      if (inFlight > 0) await new Promise<void>((resolve) => (idle = resolve))
      agent.destroy()
      await new Promise<void>((resolve) => file.end(resolve))
    },
  }
  return load
}
