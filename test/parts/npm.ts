/** npm packages that only tests use, installed into the cache from a lock file of their own. */

import { createHash } from 'node:crypto'
import { copyFile, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { run } from './child.ts'
import { cached } from './find.ts'
import type { Say } from './part.ts'

/** The folder that holds `node_modules`. Its name changes with the lock file. */
export async function npmParts(say: Say): Promise<string> {
  const lock = join(import.meta.dirname, 'npm', 'package-lock.json')
  const digest = createHash('sha256')
    .update(await readFile(lock))
    .digest('hex')
  return cached(`npm-${digest.slice(0, 12)}`, async (draft) => {
    say('fetching workerd and playwright-core with npm (150 MB)')
    for (const name of ['package.json', 'package-lock.json']) {
      await copyFile(join(import.meta.dirname, 'npm', name), join(draft, name))
    }
    // workerd's install script only makes its command start faster; the binary is a package of its own. Not `npm ci`,
    // which insists on the packages for every other platform, and not every registry mirror has those.
    await run('npm', ['install', '--no-save', '--ignore-scripts', '--no-fund', '--no-audit'], { cwd: draft })
  })
}

/** A function that resolves module names as a file of the cache's folder would. */
export const resolveIn = (folder: string): NodeJS.Require => createRequire(join(folder, 'package.json'))
