/** Requests by h2load, for HTTP/2 and gRPC, which wrk does not speak. Times are those of each request, from its log. */

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../test/parts/child.ts'
import type { Certificates } from './certificates.ts'
import { type LoadResult, program, shimIn } from './load.ts'

export interface H2Load {
  readonly port: number
  readonly seconds: number
  readonly connections: number
  /** Requests that one connection has in flight. */
  readonly streams: number
  readonly path: string
  /** Sent with POST. Default none, and GET. */
  readonly body?: { readonly file: string; readonly headers: readonly string[] } | undefined
  /** Undefined is HTTP/2 by prior knowledge. */
  readonly tls: Certificates | undefined
  /** In front of the command, to pin it. */
  readonly before: readonly string[]
  /** Folder of the compiled shim, and for the log. */
  readonly folder: string
}

export async function putUnderH2Load(load: H2Load): Promise<LoadResult> {
  const { tls, body, folder } = load
  const env: NodeJS.ProcessEnv = { ...process.env }
  if (tls) Object.assign(env, { WRIT_BENCH_CERT: tls.caller.cert, WRIT_BENCH_KEY: tls.caller.key })
  const log = join(folder, 'h2load.log')
  const preload = tls ? ['env', `LD_PRELOAD=${shimIn(folder)}`] : []
  const sent = body ? ['-d', body.file, ...body.headers.flatMap((header) => ['-H', header])] : []
  const [command, ...args] = [
    ...[...load.before, ...preload, await program('h2load')],
    ...['-t1', `-c${load.connections}`, `-m${load.streams}`, '-D', String(load.seconds), `--log-file=${log}`, ...sent],
    ...['-H', ':authority: orders.bank.internal'],
    `${tls ? 'https' : 'http'}://127.0.0.1:${load.port}${load.path}`,
  ]
  try {
    const said = await run(command!, args, { env })
    return readH2Result(said, await readFile(log, 'utf8'), load.seconds)
  } finally {
    await rm(log, { force: true })
  }
}

/** A line of the log: when it began in microseconds, its status, and how long it took in microseconds. */
export function readH2Result(output: string, log: string, seconds: number): LoadResult {
  const counts = /^requests: .* (\d+) succeeded, (\d+) failed, \d+ errored, \d+ timeout$/m.exec(output)
  if (!counts) throw new Error(`h2load printed no result:\n${output}`)
  const times: number[] = []
  let wrong = 0
  for (const line of log.split('\n')) {
    if (line === '') continue
    const [, status, us] = line.split('\t').map(Number)
    if (status! < 200 || status! >= 400) wrong++
    times.push(us!)
  }
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
  return {
    requests: times.length,
    durationUs: seconds * 1e6,
    // What was in flight at the end counts as failed there; an answer of 400 and more counts here.
    errors: wrong,
    p50Us: at(0.5),
    p99Us: at(0.99),
    p999Us: at(0.999),
  }
}
