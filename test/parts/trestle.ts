/** Python with compliance-trestle, which reads OSCAL, and a JSON Schema validator, which reads NIST's schema of it. */

import { join } from 'node:path'
import { run } from './child.ts'
import { cached, findProgram } from './find.ts'
import type { Part } from './part.ts'

const packages = ['compliance-trestle==5.2.0', 'jsonschema==4.26.0']

export const trestle: Part = {
  install: 'Python 3.11 or newer with venv (Debian: apt-get install python3-venv)',
  prepare: async (say) => {
    const python3 = await findProgram('python3')
    if (!python3) throw new Error('no python3 on the PATH')
    const folder = await cached('python-trestle-5.2.0', async (draft) => {
      say(`fetching ${packages.join(', ')} with pip`)
      await run(python3, ['-m', 'venv', join(draft, 'pip')])
      const target = ['-q', '--target', join(draft, 'site'), ...packages]
      await run(join(draft, 'pip/bin/python'), ['-m', 'pip', 'install', ...target])
    })
    return join(folder, 'site')
  },
}
