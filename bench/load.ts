/** Puts a proxy under load with wrk, over plain HTTP/1.1 or with a client certificate, and reads what came of it. */

import { join } from 'node:path'
import { run } from '../test/parts/child.ts'
import { findProgram } from '../test/parts/find.ts'
import type { Certificates } from './certificates.ts'

/** Kept-alive connections of a row of HTTP/1.1. */
export const connections = 32

export interface Load {
  readonly port: number
  readonly seconds: number
  /** Share of requests whose path was asked for before, 0 to 1. */
  readonly repeated: number
  /** The one path that is asked for. Default those that `repeated` tells of. */
  readonly path?: string | undefined
  /** A new connection for each request. Default they are kept alive. */
  readonly renews?: boolean | undefined
  /** Requests a second, in all: each connection waits between two, by chance and so long on average. Default as many as go. */
  readonly rate?: number | undefined
  /** Undefined is plain HTTP. */
  readonly tls: Certificates | undefined
  /** In front of the command, to pin it. */
  readonly before: readonly string[]
  /** Folder for the compiled shim. */
  readonly folder: string
}

export interface LoadResult {
  readonly requests: number
  readonly durationUs: number
  /** Connections that failed and answers of 400 and more. */
  readonly errors: number
  readonly p50Us: number
  readonly p99Us: number
  readonly p999Us: number
}

export async function putUnderLoad(load: Load): Promise<LoadResult> {
  const { tls } = load
  const env: NodeJS.ProcessEnv = { ...process.env, WRIT_BENCH_REPEATED: String(load.repeated) }
  if (load.path !== undefined) env['WRIT_BENCH_PATH'] = load.path
  if (load.renews) env['WRIT_BENCH_RENEWS'] = '1'
  if (load.rate !== undefined) env['WRIT_BENCH_WAIT_MS'] = String((connections / load.rate) * 1000)
  if (tls) Object.assign(env, { WRIT_BENCH_CERT: tls.caller.cert, WRIT_BENCH_KEY: tls.caller.key })
  const preload = tls ? ['env', `LD_PRELOAD=${shimIn(load.folder)}`] : []
  const [command, ...args] = [
    ...[...load.before, ...preload, await program('wrk')],
    ...['-t1', `-c${connections}`, `-d${load.seconds}s`, '-s', join(import.meta.dirname, 'load.lua')],
    `${tls ? 'https' : 'http'}://127.0.0.1:${load.port}/`,
  ]
  return readResult(await run(command!, args, { env }))
}

export function readResult(output: string): LoadResult {
  const line = /^RESULT (\{.*\})$/m.exec(output)
  if (!line) throw new Error(`wrk printed no result:\n${output}`)
  return JSON.parse(line[1]!) as LoadResult
}

/** Where `buildShim` puts it. */
export const shimIn = (folder: string): string => join(folder, 'client-certificate.so')

/** Compiles what gives wrk and h2load their client certificate. */
export async function buildShim(folder: string): Promise<void> {
  const source = join(import.meta.dirname, 'client-certificate.c')
  await run(await program('gcc'), ['-O2', '-shared', '-fPIC', source, '-o', shimIn(folder), '-ldl'])
}

export async function program(name: string): Promise<string> {
  const found = await findProgram(name)
  if (!found)
    throw new Error(`no ${name} on the PATH; on Debian: apt-get install wrk nghttp2-client gcc nginx-light util-linux`)
  return found
}
