/** A policy in a folder of its own, from a few lines of Rego. */

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { temporary } from '../recorded.ts'

/** `files` by name. The folder is called `name`, and is gone when the test is over. */
export async function policyFolder(files: Readonly<Record<string, string>>, name = 'shop'): Promise<string> {
  const folder = join(await temporary(), name)
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  return folder
}
