/** The command `writ` as users have it: the bundle that the set-up made of these sources, or the sources where it made none. */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buildCommand } from '../../deploy/build.ts'

const root = join(import.meta.dirname, '../..')
const variable = 'WRIT_TEST_COMMAND'

/** What Node starts. */
export const commandFile: string = process.env[variable] ?? join(root, 'cli/main.ts')

/** Made once for the sources as they are. */
export async function prepareCommand(): Promise<void> {
  const hash = createHash('sha256').update(await readFile(join(root, 'package-lock.json')))
  for (const folder of ['audit', 'ca', 'cli', 'console', 'control', 'core', 'deploy', 'engine', 'proxy']) {
    const names = await readdir(join(root, folder), { recursive: true })
    for (const name of names.filter((one) => one.endsWith('.ts')).sort()) {
      hash.update(`${folder}/${name}\n`).update(await readFile(join(root, folder, name)))
    }
  }
  const cache = join(root, '.cache')
  const out = join(cache, `command-${hash.digest('hex').slice(0, 16)}`)
  if (!existsSync(out)) {
    for (const name of await readdir(cache).catch(() => [])) {
      if (name.startsWith('command-')) await rm(join(cache, name), { recursive: true }) // Of older sources.
    }
    const half = `${out}.${process.pid}`
    await buildCommand(half)
    await rename(half, out)
  }
  process.env[variable] = join(out, 'main.js')
}
