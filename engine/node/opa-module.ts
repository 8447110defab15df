/** Where OPA compiled to WebAssembly lies, and how it is read: packed in this package, or in the user's cache. */

import { createHash } from 'node:crypto'
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliDecompress } from 'node:zlib'
import { messageOf, WritError } from '../../core/fault.ts'
import { type CompilerOptions, cacheFolder, opaVersion } from './compiler.ts'

/** Longest module, in bytes: what is packed must not unpack without end. */
const maxModuleBytes = 256 * 1024 ** 2

/** Path of the packed module, or undefined where there is none. */
export async function moduleAtHand(env: CompilerOptions['env']): Promise<string | undefined> {
  const here = import.meta.dirname // engine/node, or dist/engine/node
  const places = [
    join(here, '../../rego/opa.wasm.br'),
    join(here, '../../dist/rego/opa.wasm.br'),
    join(cacheFolder(env), `opa-${opaVersion}.wasm.br`),
  ]
  for (const place of places) if (await isThere(place)) return place
  return undefined
}

export const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** Compiled modules by path: compiling takes some 0.4 s, and all runs of a process share one. */
const compiled = new Map<string, Promise<WebAssembly.Module>>()

/** Throws `compiler_missing` for what is no module. */
export function openModule(path: string, env: CompilerOptions['env']): Promise<WebAssembly.Module> {
  let module = compiled.get(path)
  if (!module) {
    module = compile(path, env)
    compiled.set(path, module)
    module.catch(() => compiled.delete(path))
  }
  return module
}

async function compile(path: string, env: CompilerOptions['env']): Promise<WebAssembly.Module> {
  try {
    const bytes = await readFile(path)
    return await WebAssembly.compile(path.endsWith('.br') ? await unpacked(bytes, env) : bytes)
  } catch (cause) {
    throw new WritError('compiler_missing', `${path} is no OPA compiled to WebAssembly: ${messageOf(cause)}`, { cause })
  }
}

/** Unpacking takes longer than compiling, so what came out lies in the cache, under the digest of what it came from. */
async function unpacked(packed: Buffer, env: CompilerOptions['env']): Promise<Buffer<ArrayBuffer>> {
  const folder = cacheFolder(env)
  const name = `opa-${createHash('sha256').update(packed).digest('hex').slice(0, 16)}.wasm`
  const kept = await readFile(join(folder, name)).catch(() => undefined)
  if (kept) return kept
  const bytes = (await promisify(brotliDecompress)(packed, { maxOutputLength: maxModuleBytes })) as Buffer<ArrayBuffer>
  await keep(folder, name, bytes).catch(() => undefined) // Where nothing can be kept it is unpacked each time.
  return bytes
}

async function keep(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true })
  const beside = join(folder, `${name}.${process.pid}`)
  try {
    await writeFile(beside, bytes)
    await rename(beside, join(folder, name))
  } finally {
    await rm(beside, { force: true })
  }
  const older = (await readdir(folder)).filter((one) => /^opa-[0-9a-f]{16}\.wasm$/.test(one) && one !== name)
  for (const one of older) await rm(join(folder, one), { force: true })
}
