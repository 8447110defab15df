/**
 * What a new PGlite store begins from, where one was prepared: the files of a store with its tables and nothing in them.
 * Making these anew (initdb, then every migration) takes seconds of a core; reading them takes one.
 */

import { existsSync, openAsBlob } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import type { PGlite } from '@electric-sql/pglite'

/** The variable that names the file which `writeTemplate` wrote. */
export const templateVariable = 'WRIT_STORE_TEMPLATE'

/**
 * For a store whose files lie, or will lie, in `dir`; without `dir` one in memory. Undefined where nothing was prepared
 * or the store is there already: then it is made, or opened, as it is. What an older release prepared is brought up to
 * date as an older store is.
 */
export async function templateFor(dir: string | undefined, env: NodeJS.ProcessEnv): Promise<Blob | undefined> {
  const path = env[templateVariable]
  if (!path || !existsSync(path) || (dir !== undefined && existsSync(dir))) return undefined
  return openAsBlob(path)
}

/** Writes the files of a store that was just made; whoever reads at the same moment sees all of them or none. */
export async function writeTemplate(path: string, client: PGlite): Promise<void> {
  const files = await client.dumpDataDir('none')
  const draft = `${path}.${process.pid}`
  await writeFile(draft, files.stream())
  await rename(draft, path)
}
