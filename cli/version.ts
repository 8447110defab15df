/** This program's version, as package.json has it. */

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The package's own folder, from sources and from dist/ alike. */
export const root: string = (() => {
  const here = join(import.meta.dirname, '..')
  return here.endsWith('dist') ? dirname(here) : here
})()

export const version: string = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string })
  .version

export const software: string = `writ/${version}`
