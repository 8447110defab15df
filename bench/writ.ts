/** Where the proxy of this project enters the comparison: one worker in a process of its own, on one core. */

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { bundleInto } from '../deploy/build.ts'
import { startChild } from '../test/parts/child.ts'
import type { Certificates } from './certificates.ts'
import { type Kept, keptIn } from './kept.ts'
import type { Judged, WorkerOptions } from './worker.ts'

export interface WritProxyOptions {
  readonly upstreamPort: number
  /** What the upstream speaks. Default HTTP/1.1. */
  readonly upstreamProtocol?: 'h2c' | undefined
  /** The worker, as `buildWorker` has bundled it. Default its source, which Node compiles as it loads it. */
  readonly program?: string | undefined
  /** False is plain HTTP, on the listener that a workload calls out by. Otherwise callers show an SVID. */
  readonly tls: boolean
  readonly certificates: Certificates
  /** Asks a policy and keeps a record of each decision (`bounded`), streaming included. */
  readonly judged: Omit<Judged, 'spool'> | undefined
  /** In front of the command, to pin it. */
  readonly before: readonly string[]
  /** More of its environment. */
  readonly env?: NodeJS.ProcessEnv
  /** For its state; removed by the run. */
  readonly folder: string
}

export interface RunningProxy {
  readonly port: number
  pid(): number | undefined
  /** Of another process that works for it, and counts. */
  alsoPid?(): number
  /** Ends it and says what it did. */
  readonly end?: () => Promise<Ended>
  remove(): Promise<void>
}

export interface Ended {
  /** Requests that it served, by its own count. */
  readonly requests: number
  /** Records that the stream took. */
  readonly published: number
  readonly refused: number
  /** Garbage collections of its whole life: of young objects, of all, and their time on the main thread in milliseconds. */
  readonly collections: { readonly young: number; readonly all: number; readonly ms: number }
  /** What lies on the disk; undefined where nothing was judged. */
  readonly kept: Kept | undefined
}

/** Requests that `startWritProxy` itself sends to a judged proxy and that must be refused. */
export const probes = 1

export async function startWritProxy(options: WritProxyOptions): Promise<RunningProxy> {
  const { certificates, judged, upstreamPort, upstreamProtocol, tls, before, env = {} } = options
  const dir = await mkdtemp(join(options.folder, 'writ-'))
  const worker: WorkerOptions = {
    authority: certificates.authority,
    upstreamPort,
    ...(upstreamProtocol && { upstreamProtocol }),
    direction: tls ? 'inbound' : 'outbound',
    judged: judged && { ...judged, spool: join(dir, 'spool') },
  }
  const [command, ...args] = [
    ...[...before, process.execPath, options.program ?? join(import.meta.dirname, 'worker.ts')],
    JSON.stringify(worker),
  ]
  const child = startChild(command!, args, {
    cwd: dir,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const printed = async (pattern: RegExp, withinMs: number): Promise<string> => {
    await child.printed(pattern, withinMs)
    return pattern.exec(child.logs())![1]!
  }
  const port = Number(await printed(/^PORT (\d+)$/m, 30_000))
  if (worker.judged) await expectRefusal(port, certificates)
  return {
    port,
    pid: () => child.pid,
    async end() {
      const ending = child.stop()
      const said = JSON.parse(await printed(/^END (\{.*\})$/m, 60_000)) as Omit<Ended, 'kept'>
      await ending
      return { ...said, kept: worker.judged && keptIn(worker.judged.spool) }
    },
    async remove() {
      await child.kill()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Bundles the worker as the command is bundled for users. Below node_modules, so that packages are found from there. */
export async function buildWorker(): Promise<string> {
  const out = join(import.meta.dirname, '../node_modules/.cache/writ-bench')
  await bundleInto(out, ['bench/worker'])
  return join(out, 'worker.js')
}

/** A policy that says yes to everything would make a fine figure. */
async function expectRefusal(port: number, { caller, roots }: Certificates): Promise<void> {
  const options = {
    ...{ host: '127.0.0.1', port, method: 'DELETE', path: '/orders/1', agent: false as const },
    cert: await readFile(caller.cert),
    key: await readFile(caller.key),
    ca: await readFile(roots),
    checkServerIdentity: () => undefined,
  }
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const call = request(options, (response) => {
      response.resume().on('end', () => resolve(response.statusCode))
    })
    call.on('error', reject).end()
  })
  if (status !== 403) throw new Error(`DELETE was answered ${status}, where the policy refuses it with 403`)
}
