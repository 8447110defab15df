/**
 * Bundles the command `writ` into few modules with what they import: `npm run build` writes `dist/command`, which
 * `bin/writ.js` starts. A process starts in a third of the time and of the memory that its sources take.
 */

import { rm } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { type Plugin, rolldown } from 'rolldown'

const root = join(import.meta.dirname, '..')

/** Each is started by its file name, from beside whatever module names it: all modules are in one folder. */
const workers = [
  'engine/node/opa-worker',
  'audit/node/part-worker',
  'audit/node/archive-worker',
  'audit/report/node/gather-worker',
]

/** Libraries with files of their own beside their code. */
const apart = ['koffi', 'pg-native', /^@electric-sql\//]

/** Writes `main.js`, the workers and what they share into `out`, which is emptied first. */
export const buildCommand = (out: string): Promise<void> => bundleInto(out, ['cli/main', ...workers])

/** Writes each of `sources`, a path from the root without its ending, under its last name, and what they share. */
export async function bundleInto(out: string, sources: readonly string[]): Promise<void> {
  await rm(out, { recursive: true, force: true })
  const input = sources.map((path) => [basename(path), join(root, `${path}.ts`)])
  const bundle = await rolldown({
    ...{ cwd: root, platform: 'node', input: Object.fromEntries(input) },
    external: [/^node:/, ...apart],
    plugins: [sourceFolders(out, sources[0]!)],
  })
  try {
    await bundle.write({ dir: out, format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' })
  } finally {
    await bundle.close()
  }
}

/** Only `main` is what was started. A module that looks for the package's `policies` or `compliance` does so from the folder of its source. */
function sourceFolders(out: string, main: string): Plugin {
  return {
    name: 'source-folders',
    transform(code, id) {
      const path = relative(root, id)
      if (path.startsWith('..') || path.startsWith('node_modules') || !code.includes('import.meta.')) return null
      const folder = JSON.stringify(`/${relative(out, root)}/${dirname(path)}`)
      return code
        .replaceAll('import.meta.dirname', `(import.meta.dirname + ${folder})`)
        .replaceAll('import.meta.main', path === `${main}.ts` ? 'import.meta.main' : 'false')
    },
  }
}

if (import.meta.main) await buildCommand(join(root, 'dist/command'))
