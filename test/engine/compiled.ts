/** Compiles Rego written in a test, and opens it. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { Json } from '../../core/json.ts'
import type { BuiltinHost } from '../../engine/builtins/builtin.ts'
import { readBundle } from '../../engine/bundle.ts'
import { prepareModule } from '../../engine/module.ts'
import { buildPolicy } from '../../engine/node/build.ts'
import { openOpa } from '../../engine/node/opa.ts'
import { openPolicy, type Policy, type PolicyLimits } from '../../engine/policy.ts'
import { readTar } from '../../engine/tar.ts'

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

/** As OPA compiles it, before anything is prepared. */
export async function unpreparedWasmOf(rego: string, entrypoints: readonly string[]): Promise<Uint8Array> {
  const dir = await mkdtemp(join(tmpdir(), 'writ-test-'))
  try {
    await writeFile(join(dir, 'policy.rego'), rego)
    const opa = await openOpa({ env: process.env, say: () => undefined })
    const rules = entrypoints.flatMap((entrypoint) => ['-e', entrypoint])
    await opa.run(['build', '-t', 'wasm', '-o', 'out.tar.gz', ...rules, 'policy.rego'], { cwd: dir })
    const files = readTar(gunzipSync(await readFile(join(dir, 'out.tar.gz'))), 100)
    return files.find(({ name }) => name === 'policy.wasm')!.bytes
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
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
