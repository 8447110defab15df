/** Load that comes with a client certificate: vegeta, which keeps a rate and takes each target from a list. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, startChild } from './child.ts'
import { goProgram } from './find.ts'
import type { Part } from './part.ts'

export const vegeta: Part = {
  install: 'Go, to build it with',
  prepare: (say) => goProgram('vegeta', 'github.com/tsenart/vegeta/v12', 'v12.13.0', say),
}

export interface Load {
  /** Asked for in turn, over and over. */
  readonly targets: readonly Target[]
  /** Requests per second. */
  readonly rate: number
  readonly seconds: number
  /** Most connections at a time. Default 32. */
  readonly connections?: number
  /** PEM files: the caller's certificate and key, and the roots that the server is held to. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly roots: string }
}

export interface Target {
  readonly method: string
  readonly url: string
  readonly header?: Readonly<Record<string, readonly string[]>>
}

/** Load that goes on until it is stopped. */
export interface Running {
  /** Waits for the answers that are still to come. */
  stop(): Promise<LoadReport>
}

/** The members of vegeta's JSON report that are read; latencies in nanoseconds. */
export interface LoadReport {
  readonly requests: number
  readonly status_codes: Readonly<Record<string, number>>
  readonly errors: readonly string[]
  readonly latencies: { readonly '50th': number; readonly '99th': number; readonly max: number }
}

export async function putUnderLoad(load: Load): Promise<LoadReport> {
  const attack = await prepared(load)
  try {
    await run(attack.program, [...attack.words, `-duration=${load.seconds}s`])
    return await attack.report()
  } finally {
    await attack.remove()
  }
}

/** Each request has two minutes: what is slow has not failed. */
export async function startLoad(load: Omit<Load, 'seconds'>): Promise<Running> {
  const attack = await prepared(load)
  const child = startChild(attack.program, [...attack.words, '-duration=0', '-timeout=120s'])
  return {
    async stop() {
      process.kill(child.pid, 'SIGINT') // The one signal after which it waits for what it has asked.
      try {
        await child.ended
        return await attack.report()
      } finally {
        await attack.remove()
      }
    },
  }
}

async function prepared(load: Omit<Load, 'seconds'>) {
  const program = await vegeta.prepare(() => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'writ-vegeta-'))
  const [targets, results] = [join(folder, 'targets.json'), join(folder, 'results')]
  await writeFile(targets, load.targets.map((target) => `${JSON.stringify(target)}\n`).join(''))
  const { tls } = load
  return {
    program,
    words: [
      ...['attack', '-format=json', `-targets=${targets}`, `-output=${results}`],
      ...[`-rate=${load.rate}`, `-max-workers=${load.connections ?? 32}`],
      ...[`-connections=${load.connections ?? 32}`, '-http2=false', '-redirects=-1'],
      ...(tls ? [`-cert=${tls.cert}`, `-key=${tls.key}`, `-root-certs=${tls.roots}`] : []),
    ],
    report: async () => JSON.parse(await run(program, ['report', '-type=json', results])) as LoadReport,
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
