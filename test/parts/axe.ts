/** axe-core, which judges whether a page can be read by everybody (WCAG), run in Chromium. */

import { join } from 'node:path'
import { run } from './child.ts'
import { cached } from './find.ts'
import type { Part } from './part.ts'

const version = '4.14.1'

/** Its path is that of the script. */
export const axe: Part = {
  install: 'npm, and a registry to have axe-core from',
  prepare: async (say) => {
    const folder = await cached(`axe-core-${version}`, async (draft) => {
      say(`fetching axe-core ${version} with npm`)
      const how = ['--no-save', '--ignore-scripts', '--no-fund', '--no-audit', '--prefix', draft]
      await run('npm', ['install', ...how, `axe-core@${version}`])
    })
    return join(folder, 'node_modules/axe-core/axe.min.js')
  },
}
