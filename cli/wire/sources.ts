/** Whether the Rego in a folder is what a bundle was built from. */

import { readBundle } from '../../engine/bundle.ts'
import { buildPolicy, policyFoldersIn } from '../../engine/node/build.ts'
import { type Opa, opaAtHand } from '../../engine/node/opa.ts'

export type Sources =
  | { readonly kind: 'same'; readonly opa: Opa }
  | { readonly kind: 'other'; readonly revision: string }
  /** No Rego in that folder. */
  | { readonly kind: 'none' }
  | { readonly kind: 'no_compiler' }

/** Builds them anew, since a revision follows from all of the sources. Nothing is installed for it. */
export async function sourcesOf(folder: string, revision: string, entrypoint: string): Promise<Sources> {
  const [found] = await policyFoldersIn(folder).catch(() => [])
  if (found !== folder) return { kind: 'none' }
  const opa = await opaAtHand(process.env)
  if (opa === undefined) return { kind: 'no_compiler' }
  const built = await revisionOf(folder, [])
  // A rule that its metadata does not name was named when it was built.
  if (built === revision || (await revisionOf(folder, [entrypoint])) === revision) return { kind: 'same', opa }
  return { kind: 'other', revision: built ?? 'none that compiles' }
}

async function revisionOf(folder: string, entrypoints: readonly string[]): Promise<string | undefined> {
  try {
    const bytes = await buildPolicy(folder, { entrypoints, compiler: { env: process.env, say: () => undefined } })
    return (await readBundle(bytes, 'sources')).ref.revision
  } catch {
    return undefined
  }
}
