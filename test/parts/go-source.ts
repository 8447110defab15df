/** Programs in Go that lie beside the tests as source, with a go.sum that names all they depend on. */

import { cp, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './child.ts'

/** Builds it in a folder of its own, which whoever asked removes; returns the program there. */
export async function buildGoSource(go: string, source: string, name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `writ-${name}-`))
  await cp(source, folder, { recursive: true })
  const program = join(folder, name)
  const env = { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false' }
  await run(go, ['build', '-o', program, '.'], { cwd: folder, env })
  return program
}
