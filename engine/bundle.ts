/** Reads an OPA bundle (gzip tar with .manifest, data and policy.wasm) into what a policy is opened from. */

import { fromUtf8, toHex } from '../core/bytes.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { isObject, type Json, parseJson } from '../core/json.ts'
import type { PolicyRef } from '../core/policy.ts'
import { type Reads, readReads } from './reads.ts'
import { verifyFiles } from './signature.ts'
import { isData, isYamlData, structureOf } from './structured.ts'
import { readTar, type TarFile } from './tar.ts'
import { toJson } from './value.ts'
import type { BundleVerification, SignedBy } from './verification.ts'

export interface BundleContent {
  readonly ref: PolicyRef
  /** Path of each rule that the module answers for, as OPA writes it: `writ/authz/result`. */
  readonly entrypoints: readonly string[]
  readonly data: Json
  /** What the bundle owns below `data`, as its manifest says: "" is all, for nobody narrowed it. */
  readonly roots: readonly string[]
  /** As compiled; `prepareModule` makes it ready to run. */
  readonly wasm: Uint8Array
  /** Where its verification is keyless. */
  readonly signedBy?: SignedBy
  /** What each entry point may read of its input; where it is left out, all of it. */
  readonly reads?: Reads
}

export interface BundleLimits {
  /** Length of the bundle as it travels, in bytes; a longer one is refused. Default 32 MiB. */
  readonly maxPackedBytes?: number
  /** Length of all it unpacks to, in bytes; unpacking stops there and refuses. Default 128 MiB. */
  readonly maxUnpackedBytes?: number
  /** Default 4096. */
  readonly maxFiles?: number
}

interface Manifest {
  /** Empty where whoever built it gave none; it then goes by its digest. */
  readonly revision: string
  readonly roots: readonly string[]
  readonly entrypoints: readonly string[]
  /** Path of the one module that all entry points name. */
  readonly module: string
  readonly reads: Reads | undefined
}

type Members = { [key: string]: Json }

export interface BundleOptions extends BundleLimits {
  /** Hex digest of the bytes, where the caller has it already. */
  readonly sha256?: string
  /** Keys that must have signed it. Default: a signature is not asked for, and one that is there not looked at. */
  readonly verification?: BundleVerification
}

/** `name` is the bundle's name in this mesh. Throws `policy_invalid`. */
export async function readBundle(bytes: Uint8Array, name: string, limits: BundleOptions = {}): Promise<BundleContent> {
  const maxPacked = limits.maxPackedBytes ?? 32 * 1024 ** 2
  if (bytes.length > maxPacked) throw invalid(`it is longer than ${maxPacked} bytes`)
  const archive = await unpack(bytes, limits.maxUnpackedBytes ?? 128 * 1024 ** 2)
  const files = new Map(readTar(archive, limits.maxFiles ?? 4096).map((file) => [file.name, file]))
  const by = limits.verification && (await verifyFiles([...files.values()], limits.verification))
  for (const { name } of files.values()) refuseUnread(name)

  const { revision, roots, entrypoints, module, reads } = readManifest(files.get('.manifest'))
  const wasm = files.get(module)
  if (!wasm) throw invalid(`its manifest names ${module}, which it does not hold`)
  const data = readData([...files.values()])
  checkRoots(data, roots)
  const sha256 = limits.sha256 ?? (await sha256Hex(bytes))
  return {
    ref: { bundle: name, revision: revision || sha256.slice(0, 16), sha256 },
    entrypoints,
    data,
    roots,
    wasm: wasm.bytes,
    ...(by && { signedBy: by }),
    ...(reads && { reads }),
  }
}

async function unpack(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'))
  const reader = stream.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      length += next.value.length
      if (length > maxBytes) throw invalid(`it unpacks to more than ${maxBytes} bytes`)
      chunks.push(next.value)
    }
  } catch (thrown) {
    await reader.cancel().catch(() => undefined)
    throw thrown instanceof WritError ? thrown : invalid('it is not gzip', thrown)
  }
  const whole = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/** What OPA would take into account and we do not must not pass unnoticed. */
function refuseUnread(name: string): void {
  if (name === 'patch.json') throw invalid('it is a delta bundle; whole ones are read')
}

function readManifest(file: TarFile | undefined): Manifest {
  const manifest = file && jsonOf(file)
  if (!isObject(manifest)) throw invalid('it has no .manifest that is a JSON object')
  const { revision = '', roots = [''], wasm, metadata } = manifest
  if (typeof revision !== 'string' || !/^[\x21-\x7e]{0,256}$/.test(revision)) {
    throw invalid('its revision is no word of at most 256 visible characters')
  }
  if (!Array.isArray(roots) || !roots.every((root) => typeof root === 'string')) throw invalid('bad "roots"')
  if (!Array.isArray(wasm) || wasm.length === 0) throw invalid('it holds no compiled entry point')
  const modules = new Set<string>()
  const entrypoints = (wasm as readonly Json[]).map((one) => {
    const { entrypoint, module } = isObject(one) ? one : {}
    if (typeof entrypoint !== 'string' || typeof module !== 'string') throw invalid('bad "wasm" in its manifest')
    modules.add(module.replace(/^\//, ''))
    return entrypoint
  })
  const [module, other] = [...modules]
  if (module === undefined || other !== undefined) throw invalid('it holds more than one compiled module')
  return {
    revision,
    roots: (roots as readonly string[]).map((root) => root.replace(/^\/|\/$/g, '')),
    entrypoints,
    module,
    reads: readsIn(metadata),
  }
}

function readsIn(metadata: Json | undefined): Reads | undefined {
  try {
    return readReads(metadata)
  } catch (thrown) {
    throw invalid(messageOf(thrown))
  }
}

/** Every data.json and data.yaml becomes the members of the object that its folder names. */
function readData(files: readonly TarFile[]): Json {
  const data: Members = {}
  const found = files.filter(({ name }) => isData(name))
  for (const file of found.sort((a, b) => a.name.length - b.name.length)) {
    const value = isYamlData(file.name) ? yamlOf(file) : jsonOf(file)
    if (!isObject(value)) throw invalid(`${file.name} holds no object`)
    let target = data
    for (const step of file.name.split('/').slice(0, -1)) {
      if (!Object.hasOwn(target, step)) setOwn(target, step, {})
      const next = target[step]
      if (!isObject(next)) throw invalid(`${file.name} lies where another file has a value`)
      target = next as Members
    }
    refuseInexact(value, file.name)
    for (const [key, member] of Object.entries(value)) {
      if (Object.hasOwn(target, key)) throw invalid(`${file.name} repeats "${key}" of another file`)
      setOwn(target, key, member as Json)
    }
  }
  return data
}

const maxDataDepth = 128

/** A number with more digits than a double holds would be another number here than in OPA. */
function refuseInexact(value: Json | undefined, name: string, depth: number = maxDataDepth): void {
  if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    throw invalid(`${name} holds a number beyond 2^53, which is not exact; write it as a string`)
  }
  if (typeof value !== 'object' || value === null) return
  if (depth === 0) throw invalid(`${name} is nested more than ${maxDataDepth} deep`)
  for (const one of Object.values(value)) refuseInexact(one, name, depth - 1)
}

/** A folder or member may be called `__proto__`; it is then one like any other. */
function setOwn(target: Members, key: string, value: Json): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
}

/** OPA bundles: roots do not overlap, and all data lies under them. */
function checkRoots(data: Json, roots: readonly string[]): void {
  const within = (path: string, root: string): boolean => root === '' || path === root || path.startsWith(`${root}/`)
  roots.forEach((root, i) => {
    const other = roots.find((one, j) => i !== j && within(root, one))
    if (other !== undefined) throw invalid(`its roots "${root}" and "${other}" overlap`)
  })
  const walk = (value: Json | undefined, path: string): void => {
    if (path !== '' && roots.some((root) => within(path, root))) return
    const above = path === '' || roots.some((root) => within(root, path))
    if (!above || !isObject(value)) throw invalid(`its data at "${path}" lies under none of its roots`)
    for (const [key, member] of Object.entries(value)) walk(member, path === '' ? key : `${path}/${key}`)
  }
  walk(data, '')
}

function jsonOf(file: TarFile): Json {
  try {
    const value = parseJson(fromUtf8(file.bytes))
    if (value !== undefined) return value
  } catch (thrown) {
    throw invalid(`${file.name} is not UTF-8`, thrown)
  }
  throw invalid(`${file.name} is not JSON`)
}

function yamlOf(file: TarFile): Json {
  try {
    return toJson(structureOf(file))
  } catch (thrown) {
    throw invalid(`${file.name} cannot be read: ${messageOf(thrown)}`, thrown)
  }
}

const sha256Hex = async (bytes: Uint8Array): Promise<string> =>
  toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)))

const invalid = (why: string, cause?: unknown): WritError =>
  new WritError('policy_invalid', `the policy bundle cannot be loaded: ${why}`, {
    cure: 'Build it with `writ policy build` or `opa build -t wasm`.',
    ...(cause === undefined ? {} : { cause }),
  })
