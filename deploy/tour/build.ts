/** Compiles the tour's edited policy for machines without a compiler: `npm run policies` runs it. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { editedPolicy, prepared } from '../../cli/tour/edit.ts'
import { buildPolicy } from '../../engine/node/build.ts'

const temporary = await mkdtemp(join(tmpdir(), 'writ-tour-'))
try {
  await writeFile(prepared, await buildPolicy(await editedPolicy(temporary)))
} finally {
  await rm(temporary, { recursive: true, force: true })
}
