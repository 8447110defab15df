/** Load that comes with a client certificate: vegeta, which keeps a rate and takes each target from a list. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './child.ts'
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

/** The members of vegeta's JSON report that are read; latencies in nanoseconds. */
export interface LoadReport {
  readonly requests: number
  readonly status_codes: Readonly<Record<string, number>>
  readonly errors: readonly string[]
  readonly latencies: { readonly '50th': number; readonly '99th': number; readonly max: number }
}

export async function putUnderLoad(load: Load): Promise<LoadReport> {
  const program = await vegeta.prepare(() => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'writ-vegeta-'))
  try {
    const targets = join(folder, 'targets.json')
    const results = join(folder, 'results')
    await writeFile(targets, load.targets.map((target) => `${JSON.stringify(target)}\n`).join(''))
    const { tls } = load
    await run(program, [
      ...['attack', '-format=json', `-targets=${targets}`, `-output=${results}`],
      ...[`-rate=${load.rate}`, `-duration=${load.seconds}s`, `-max-workers=${load.connections ?? 32}`],
      ...[`-connections=${load.connections ?? 32}`, '-http2=false', '-redirects=-1'],
      ...(tls ? [`-cert=${tls.cert}`, `-key=${tls.key}`, `-root-certs=${tls.roots}`] : []),
    ])
    return JSON.parse(await run(program, ['report', '-type=json', results])) as LoadReport
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
