/** Compiles Rego written in a test, and opens it. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Json } from '../../core/json.ts'
import type { BuiltinHost } from '../../engine/builtins/builtin.ts'
import { readBundle } from '../../engine/bundle.ts'
import { prepareModule } from '../../engine/module.ts'
import { buildPolicy } from '../../engine/node/build.ts'
import { openPolicy, type Policy, type PolicyLimits } from '../../engine/policy.ts'

/** Bundle of one Rego file and those beside it, whose entry points are all the rules named. */
export async function bundleOf(
  rego: string,
  entrypoints: readonly string[],
  data: Json = {},
  others: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  const dir = await mkdtemp(join(tmpdir(), 'writ-test-'))
  try {
    for (const [name, text] of Object.entries({ 'policy.rego': rego, ...others }))
      await writeFile(join(dir, name), text)
    await writeFile(join(dir, 'data.json'), JSON.stringify(data))
    return await buildPolicy(dir, { entrypoints })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

export async function wasmOf(rego: string, entrypoints: readonly string[]): Promise<Uint8Array> {
  return (await readBundle(await bundleOf(rego, entrypoints), 'test')).wasm
}

export async function openRego(
  rego: string,
  entrypoints: readonly string[],
  options: PolicyLimits & { readonly data?: Json; readonly now?: () => bigint; readonly host?: BuiltinHost } = {},
): Promise<Policy> {
  const { ref, data, wasm } = await readBundle(await bundleOf(rego, entrypoints, options.data), 'test')
  const module = new WebAssembly.Module(prepareModule(wasm) as Uint8Array<ArrayBuffer>)
  return openPolicy({ now: () => 0n, ...options, ref, module, data })
}
