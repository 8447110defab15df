/** From bundle bytes to a running policy, and the bundles that lie in a folder. */

import { open, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { messageOf, WritError } from '../../core/fault.ts'
import type { PolicyBundle } from '../../core/policy.ts'
import type { NowNs } from '../../core/ports.ts'
import type { BuiltinHost } from '../builtins/builtin.ts'
import { type BundleLimits, type BundleOptions, readBundle } from '../bundle.ts'
import { type DataPart, withData } from '../data.ts'
import { prepareModule } from '../module.ts'
import { openPolicy, type Policy, type PolicyLimits } from '../policy.ts'

export const bundleFile = 'bundle.tar.gz'

export interface LoadOptions extends PolicyLimits, BundleOptions {
  readonly now: NowNs
  /** What builtins may ask of the world. Default nothing. */
  readonly host?: BuiltinHost
  /** What was fetched beside the bundle. Default nothing. */
  readonly parts?: readonly DataPart[]
}

/** Reads, compiles and warms a bundle; what is returned can be put in force. Throws `policy_invalid`. */
export async function loadBundle(bytes: Uint8Array, name: string, options: LoadOptions): Promise<Policy> {
  const { parts = [], ...others } = options
  const content = await readBundle(bytes, name, options)
  const { ref, wasm, entrypoints, reads } = content
  const data = withData(content, parts)
  const prepared = prepareModule(wasm)
  let module: WebAssembly.Module
  try {
    module = await WebAssembly.compile(prepared as Uint8Array<ArrayBuffer>)
  } catch (thrown) {
    throw new WritError('policy_invalid', `policy ${name} does not compile: ${messageOf(thrown)}`, { cause: thrown })
  }
  const policy = openPolicy({
    ...others,
    ref,
    module,
    data,
    ...(reads && { reads }),
    ...(parts.length > 0 && { parts: parts.map(withoutValue) }),
  })
  const lacking = entrypoints.find((entrypoint) => !policy.entrypoints.includes(entrypoint))
  if (lacking === undefined) return policy
  throw new WritError('policy_invalid', `policy ${name} has no entry point ${lacking}, which its manifest names`)
}

const withoutValue = ({ value: _, ...part }: DataPart): Omit<DataPart, 'value'> => part

/** The bundle in each folder below `dir`, in order of name, which is the folder's; folders without one are left out. */
export async function readPolicyFolder(dir: string, limits: BundleLimits = {}): Promise<readonly PolicyBundle[]> {
  const bundles: PolicyBundle[] = []
  for (const folder of await foldersIn(dir)) {
    const bytes = await readBounded(join(folder, bundleFile), limits.maxPackedBytes ?? 32 * 1024 ** 2)
    if (bytes) bundles.push({ ref: (await readBundle(bytes, basename(folder), limits)).ref, bytes })
  }
  return bundles
}

async function foldersIn(dir: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true })
    return entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(dir, entry.name))
      .sort()
  } catch (thrown) {
    throw new WritError('not_found', `the policy folder ${dir} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** A file's bytes, or undefined where there is none. */
async function readBounded(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const file = await open(path).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return undefined
    throw new WritError('policy_invalid', `${path} cannot be read: ${thrown.message}`, { cause: thrown })
  })
  if (!file) return undefined
  try {
    const { size } = await file.stat()
    if (size > maxBytes) throw new WritError('policy_invalid', `${path} is longer than ${maxBytes} bytes`)
    return new Uint8Array(await file.readFile())
  } finally {
    await file.close()
  }
}
