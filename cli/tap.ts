/** `writ tap`: requests of a running proxy as they end, one JSON line each. */

import { join } from 'node:path'
import { Command } from 'commander'
import { adminStream, answers } from '../control/node/client.ts'
import { WritError } from '../core/fault.ts'
import { number } from './options.ts'

interface Options {
  readonly state: string
  readonly maxPerSecond: number
  readonly count?: number
  readonly [filter: string]: string | number | undefined
}

const filters: Readonly<Record<string, string>> = {
  direction: 'inbound or outbound',
  method: 'method',
  path: 'prefix of the path',
  authority: 'host, as the request names it',
  source: 'SPIFFE id of the caller',
  service: 'name of the service',
  route: 'name of the route',
  verdict: 'allow, deny or fault',
  code: 'code of the decision, as policy_denied',
  status: 'status, or its class as 5xx',
}

export function tapCommand(): Command {
  const command = new Command('tap')
    .description('show requests of a running proxy as they end, as JSON lines; each filter that is given must hold')
    .option('--state <dir>', "the proxy's state folder", '.writ-proxy')
    .option('--max-per-second <n>', 'most requests shown in a second', number, 100)
    .option('--count <n>', 'end after so many', number)
  for (const [name, help] of Object.entries(filters)) command.option(`--${name} <value>`, help)
  return command.action(run)
}

async function run(options: Options): Promise<void> {
  const query = new URLSearchParams({ max_per_second: String(options.maxPerSecond) })
  for (const name of Object.keys(filters)) {
    const value = options[name]
    if (value !== undefined) query.set(name, String(value))
  }
  const socket = join(options.state, 'admin.sock')
  if (!(await answers(socket))) {
    throw new WritError('unavailable', `no proxy listens on ${socket}`, {
      cure: 'name the state folder of a running proxy with --state; each worker has one of its own',
    })
  }
  let left = options.count ?? Number.POSITIVE_INFINITY
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of adminStream(socket, `/tap?${query}`)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      if (line === '') continue // Says that the proxy is still there.
      process.stdout.write(`${line}\n`)
      if (--left <= 0) return
    }
  }
}
