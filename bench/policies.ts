/** The policies of the comparison, as files that a worker opens. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildPolicy } from '../engine/node/build.ts'
import { bundleFile } from '../engine/node/open.ts'

export interface BenchPolicy {
  readonly bundle: string
  readonly entrypoint: string
}

/** Method, path prefix and a list of callers: what peers were measured with. Compiled here and now. */
export async function peersPolicy(folder: string): Promise<BenchPolicy> {
  const bundle = join(folder, bundleFile)
  await writeFile(bundle, await buildPolicy(join(import.meta.dirname, 'policy')))
  return { bundle, entrypoint: 'bench/authz/allow' }
}

/** The bank's own, as it is committed: edges with path patterns, and a reason in words. */
export const bankPolicy: BenchPolicy = {
  bundle: join(import.meta.dirname, '../policies/bank', bundleFile),
  entrypoint: 'writ/authz/result',
}
