/** Python with what others read our exports by: OCSF's schemas and a JSON Schema validator, Apache Arrow, Prometheus. */

import { join } from 'node:path'
import { run } from './child.ts'
import { cached, findProgram, installDebian } from './find.ts'
import type { Part, Say } from './part.ts'

const packages = ['ocsf-json-schema==1.2.0', 'jsonschema==4.26.0', 'pyarrow==26.0.1', 'prometheus-client==0.26.0']

export const python: Part = {
  install: 'Python 3.11 or newer with venv (Debian: apt-get install python3-venv)',
  prepare: async (say) => {
    const python3 = (await findProgram('python3')) ?? (await install(say))
    const canMake = await run(python3, ['-c', 'import ensurepip']).then(
      () => true,
      () => false,
    )
    if (!canMake) await install(say)
    const folder = await cached('python-ocsf-1.2.0-arrow-26.0.1-prometheus-0.26.0', async (draft) => {
      say(`fetching ${packages.join(', ')} with pip`)
      // The interpreter of an environment knows it by where it was made: so this one is never run, only read.
      await run(python3, ['-m', 'venv', join(draft, 'pip')])
      await run(join(draft, 'pip/bin/python'), [
        '-m',
        'pip',
        'install',
        '-q',
        '--target',
        join(draft, 'site'),
        ...packages,
      ])
    })
    return join(folder, 'site')
  },
}

async function install(say: Say): Promise<string> {
  if (!process.env['CI'] || process.getuid?.() !== 0) throw new Error('no python3 with venv on the PATH')
  await installDebian('python3-venv', say)
  const installed = await findProgram('python3')
  if (!installed) throw new Error('no python3 on the PATH')
  return installed
}

/** Runs a script with those packages. What it prints is given back. */
export const runPython = (site: string, script: string, ...args: readonly string[]): Promise<string> =>
  run('python3', ['-c', script, ...args], { env: { ...process.env, PYTHONPATH: site, PYTHONDONTWRITEBYTECODE: '1' } })
