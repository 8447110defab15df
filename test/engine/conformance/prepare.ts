/** Compiles OPA's conformance cases into the cache, once for each version of OPA and of the program that does it. */

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { opaVersion } from '../../../engine/node/compiler.ts'
import { run } from '../../parts/child.ts'
import { cached, findProgram } from '../../parts/find.ts'
import type { Say } from '../../parts/part.ts'

const source = join(import.meta.dirname, 'cases')

/** Each so many-th case is in the sample that is judged outside of CI. */
export const sampleEvery = 20

/** A folder with cases.ndjson, modules and the program that made them. Throws where there is no Go. */
export async function prepareCases(every: number, say: Say): Promise<string> {
  const hash = createHash('sha256')
  for (const name of ['go.mod', 'go.sum', 'main.go']) hash.update(await readFile(join(source, name)))
  const name = `conformance-${opaVersion}-${every}-${hash.digest('hex').slice(0, 12)}`
  return cached(name, async (draft) => {
    const go = await findProgram('go', ['/usr/local/go/bin'])
    if (!go) throw new Error('there is no Go to compile the cases with')
    say(`compiling ${every === 1 ? 'all' : 'a sample of'} conformance cases of OPA ${opaVersion}`)
    const env = { ...process.env, GOFLAGS: '-mod=readonly' }
    const program = programIn(draft)
    await run(go, ['build', '-o', program, '.'], { cwd: source, env })
    const opa = await run(go, ['list', '-m', '-f', '{{.Dir}}', 'github.com/open-policy-agent/opa'], {
      cwd: source,
      env,
    })
    await run(program, [join(opa.trim(), 'v1/test/cases/testdata/v1'), draft, String(every)], { cwd: draft })
  })
}

export const programIn = (folder: string): string => join(folder, 'cases')
