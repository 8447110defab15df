/** This program's version, as package.json has it. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The package's own folder, from sources and from a bundle of them alike (deploy/build.ts). */
export const root: string = join(import.meta.dirname, '..')

export const version: string = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string })
  .version

export const software: string = `writ/${version}`
