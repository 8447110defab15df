/** The one line of Rego that the tour adds, and where a machine without a compiler has its result from. */

import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildPolicy } from '../../engine/node/build.ts'
import { opaAtHand } from '../../engine/node/opa.ts'
import { root } from '../version.ts'

export const after = 'allowed if some_edge_allows\n'
export const line = 'allowed if { caller == "storefront"; callee == "orders"; method == "DELETE" }'

/** A copy of the bank's policy with that line in it. */
export async function editedPolicy(dir: string): Promise<string> {
  const folder = join(dir, 'bank')
  await mkdir(dir, { recursive: true })
  await cp(join(root, 'policies/bank'), folder, { recursive: true })
  const file = join(folder, 'authz.rego')
  const source = await readFile(file, 'utf8')
  if (!source.includes(after)) throw new Error(`the bank's policy has no line ${after}`)
  await writeFile(file, source.replace(after, `${after}\n${line}\n`))
  return folder
}

/** The bundle of the edited policy: compiled here where a compiler is at hand, else the same bytes, compiled before. */
export async function editedBundle(
  folder: string,
): Promise<{ readonly bytes: Uint8Array; readonly compiled: boolean }> {
  if (await opaAtHand(process.env)) return { bytes: await buildPolicy(folder), compiled: true }
  return { bytes: new Uint8Array(await readFile(prepared)), compiled: false }
}

/** Held to the edit, byte for byte, by a test. */
export const prepared: string = join(root, 'deploy/tour/bundle.tar.gz')
