/** What a test file says when it stands on real parts. */

import { inject, test } from 'vitest'
import type { PartName } from './index.ts'

/** Where a part is on this machine, or why it is not. Parts that no test file of this run names are left out. */
export type PreparedParts = { readonly [name in PartName]?: { readonly path: string } | { readonly missing: string } }

declare module 'vitest' {
  interface ProvidedContext {
    readonly parts: PreparedParts
  }
}

/**
 * `const test = needs('kafka')`: vitest's `test` where the parts are there, and one that leaves out where they are
 * not. Stands in the test file itself with the names in quotes, for test/setup.ts reads it to know what to prepare.
 */
export function needs(...names: readonly PartName[]): typeof test {
  const prepared = inject('parts')
  const here = names.map((name) => prepared[name])
  if (here.includes(undefined))
    throw new Error(`test/setup.ts found no needs(...) with ${names.join(', ')} in this file`)
  return here.every((part) => 'path' in part!) ? test : (test.skip as typeof test)
}

/** The path of a part that `needs` has asked for. */
export function pathOf(name: PartName): string {
  const part = inject('parts')[name]
  if (!part || !('path' in part)) throw new Error(`${name} is not here`)
  return part.path
}
