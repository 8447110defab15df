/** Puts a proxy under load with wrk, over plain HTTP/1.1 or with a client certificate, and reads what came of it. */

import { join } from 'node:path'
import { run } from '../test/parts/child.ts'
import { findProgram } from '../test/parts/find.ts'
import type { Certificates } from './certificates.ts'

export interface Load {
  readonly port: number
  readonly seconds: number
  /** Kept-alive connections. Default 32. */
  readonly connections?: number
  /** Share of requests whose path was asked for before, 0 to 1. */
  readonly repeated: number
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
  if (tls) Object.assign(env, { WRIT_BENCH_CERT: tls.caller.cert, WRIT_BENCH_KEY: tls.caller.key })
  const preload = tls ? ['env', `LD_PRELOAD=${join(load.folder, shimName)}`] : []
  const [command, ...args] = [
    ...[...load.before, ...preload, await program('wrk')],
    ...['-t1', `-c${load.connections ?? 32}`, `-d${load.seconds}s`, '-s', join(import.meta.dirname, 'load.lua')],
    `${tls ? 'https' : 'http'}://127.0.0.1:${load.port}/`,
  ]
  return readResult(await run(command!, args, { env }))
}

export function readResult(output: string): LoadResult {
  const line = /^RESULT (\{.*\})$/m.exec(output)
  if (!line) throw new Error(`wrk printed no result:\n${output}`)
  return JSON.parse(line[1]!) as LoadResult
}

const shimName = 'client-certificate.so'

/** Compiles what gives wrk its client certificate. */
export async function buildShim(folder: string): Promise<void> {
  const source = join(import.meta.dirname, 'client-certificate.c')
  await run(await program('gcc'), ['-O2', '-shared', '-fPIC', source, '-o', join(folder, shimName), '-ldl'])
}

export async function program(name: string): Promise<string> {
  const found = await findProgram(name)
  if (!found)
    throw new Error(`no ${name} on the PATH; on Debian: apt-get install wrk gcc nginx-light openssl util-linux`)
  return found
}
