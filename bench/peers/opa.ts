/**
 * OPA behind Envoy's ext_authz, over gRPC: its own library in the place of the opa-envoy-plugin, whose module no proxy of
 * Go modules serves. The policy is the same as everybody's; decision logs go out by OPA's own plugin.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run, startChild } from '../../test/parts/child.ts'
import { findProgram } from '../../test/parts/find.ts'
import { buildGoSource } from '../../test/parts/go-source.ts'

export interface RunningOpa {
  readonly port: number
  readonly pid: number
  remove(): Promise<void>
}

/** Compiled once a run: that takes minutes where Go has not seen the modules yet. */
export async function buildOpa(): Promise<string> {
  const go = await findProgram('go')
  if (!go) throw new Error('no go on the PATH to build OPA with')
  return buildGoSource(go, join(import.meta.dirname, 'opa'), 'opa-envoy')
}

export async function startOpa(options: {
  readonly program: string
  readonly folder: string
  /** Where decision logs go. Default there are none. */
  readonly logsTo?: number | undefined
  /** In front of the command, to pin it. */
  readonly before: readonly string[]
}): Promise<RunningOpa> {
  const { program, logsTo, before } = options
  const folder = await mkdtemp(join(options.folder, 'opa-'))
  const bundle = join(folder, 'bundle.tar.gz')
  await run('tar', ['-C', join(import.meta.dirname, '../policy'), '-czf', bundle, 'authz.rego', 'data.json'])
  const config = {
    bundles: { bench: { resource: `file://${bundle}` } },
    ...(logsTo !== undefined && {
      services: { sink: { url: `http://127.0.0.1:${logsTo}` } },
      decision_logs: { service: 'sink', reporting: { min_delay_seconds: 1, max_delay_seconds: 2 } },
    }),
  }
  const file = join(folder, 'opa.json')
  await writeFile(file, JSON.stringify(config))
  const [command, ...args] = [...before, program, file, '/bench/authz/allow']
  const child = startChild(command!, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, GOMAXPROCS: '1' },
  })
  await child.printed(/^PORT \d+$/m, 30_000)
  return {
    port: Number(/^PORT (\d+)$/m.exec(child.logs())![1]),
    pid: child.pid,
    async remove() {
      await child.kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
