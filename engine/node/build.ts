/** Compiles a policy folder into its bundle, the same bytes on every run and machine. */

import { createHash } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { fromUtf8, utf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { canonicalJson, parseJson } from '../../core/json.ts'
import { prepareModule } from '../module.ts'
import { type Reads, readsOfPlan, writeReads } from '../reads.ts'
import { readTar, type TarFile } from '../tar.ts'
import { formatJson, fromJson, objectOf, parseJsonValue, RegoObject, type Value } from '../value.ts'
import type { CompilerOptions } from './compiler.ts'
import { isOfPackage, librarySources, writeSources } from './library.ts'
import { type Opa, type OpaRun, openOpa } from './opa.ts'
import { bundleFile } from './open.ts'
import { pack } from './pack.ts'

export interface BuildOptions {
  /** Rules to compile beside `system.log`'s and those that say `entrypoint: true` in their metadata. Default none. */
  readonly entrypoints?: readonly string[]
  /** Default: 16 hex digits of a hash of the sources. */
  readonly revision?: string
  readonly compiler?: CompilerOptions
  /** Time after which the compiler is ended, in milliseconds. Default 5 minutes. */
  readonly timeoutMs?: number
}

/** Where OPA puts what it compiled. */
const moduleFile = 'policy.wasm'

const onStandardError: CompilerOptions['say'] = (line) => void process.stderr.write(`${line}\n`)

/** What is compiled: rules without their tests, data, and a manifest where the author narrowed the roots. */
const isSource = (name: string): boolean =>
  (name.endsWith('.rego') && !name.endsWith('_test.rego')) || /(^|\/)(data\.(json|yaml|yml)|\.manifest)$/.test(name)

/** Bytes of the bundle. Throws `policy_invalid` with what OPA says, `compiler_missing` where there is no OPA. */
export async function buildPolicy(dir: string, options: BuildOptions = {}): Promise<Uint8Array> {
  const compiler = options.compiler ?? { env: process.env, say: onStandardError }
  const own = await readSources(dir)
  const sources = [...own, ...(await librarySources(own))]
  const entrypoints = [...new Set([...(options.entrypoints ?? []), ...logRulesIn(own)])]
  const revision = options.revision ?? revisionOf(sources, entrypoints)
  const opa = await openOpa(compiler)

  const temporary = await mkdtemp(join(tmpdir(), 'writ-build-'))
  try {
    // What was hashed is what is compiled, under names that do not depend on where the folder lies.
    const root = join(temporary, 'policy')
    await writeSources(root, sources)
    const rules = entrypoints.flatMap((entrypoint) => ['-e', entrypoint])
    const how = { cwd: root, ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }) }
    const built = async (target: 'wasm' | 'plan'): Promise<readonly TarFile[]> => {
      const out = join(root, bundleFile)
      await run(opa, ['build', '-t', target, '-b', '.', '-r', revision, '-o', bundleFile, ...rules], how, dir)
      const files = readTar(gunzipSync(await readFile(out)), 10_000)
      await rm(out) // Or the next build would take it for a source.
      return files
    }
    // OPA's own files, which are the same each time, in an archive without the marks of whoever made it.
    const files = await built('wasm')
    return pack(withReads(files.map(prepared), await built('plan')))
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

/** `dir` itself where it holds Rego, else the folders in it that do, in order of name. */
export async function policyFoldersIn(dir: string): Promise<readonly string[]> {
  const entries = await list(dir)
  if (entries.some((entry) => entry.isFile() && entry.name.endsWith('.rego'))) return [dir]
  const folders: string[] = []
  for (const entry of entries.filter((one) => one.isDirectory())) {
    if (isOfPackage(join(dir, entry.name))) continue
    const inside = await list(join(dir, entry.name), true)
    if (inside.some((one) => one.isFile() && one.name.endsWith('.rego'))) folders.push(join(dir, entry.name))
  }
  if (folders.length > 0) return folders.sort()
  throw new WritError('not_found', `there is no policy in ${dir}`, {
    cure: 'A policy is a folder with Rego files in it; name it or the folder above it.',
  })
}

async function list(dir: string, recursive = false): Promise<readonly Dirent[]> {
  return readdir(dir, { recursive, withFileTypes: true }).catch((cause: unknown) => {
    throw new WritError('not_found', `the policy folder ${dir} cannot be read: ${messageOf(cause)}`, { cause })
  })
}

async function readSources(dir: string): Promise<readonly TarFile[]> {
  const entries = await list(dir, true)
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter(isSource)
    .sort()
  if (!names.some((name) => name.endsWith('.rego'))) {
    throw new WritError('policy_invalid', `${dir} holds no Rego to compile`, {
      cure: 'Put a policy.rego there, with `# METADATA` and `# entrypoint: true` above the rule to ask.',
    })
  }
  return Promise.all(names.map(async (name) => ({ name, bytes: new Uint8Array(await readFile(join(dir, name))) })))
}

/** Nobody asks for a mask by name, and one that was written and not compiled would hide nothing. */
function logRulesIn(sources: readonly TarFile[]): readonly string[] {
  const texts = sources.filter(({ name }) => name.endsWith('.rego')).map(({ bytes }) => fromUtf8(bytes))
  const rules = texts.filter((text) => /^\s*package\s+system\.log\s*(?:#.*)?$/m.test(text))
  const has = (name: string): boolean => rules.some((text) => new RegExp(`^(?:default\\s+)?${name}\\b`, 'm').test(text))
  return ['drop', 'mask'].filter(has).map((name) => `system/log/${name}`)
}

/** Names and lengths go in with the bytes, so that no two sets of files read alike. */
function revisionOf(sources: readonly TarFile[], entrypoints: readonly string[]): string {
  const hash = createHash('sha256').update(canonicalJson([...entrypoints]))
  for (const { name, bytes } of sources) hash.update(`\n${canonicalJson([name, bytes.length])}\n`).update(bytes)
  return hash.digest('hex').slice(0, 16)
}

async function run(opa: Opa, args: readonly string[], how: OpaRun, dir: string): Promise<void> {
  const { code, stdout, stderr } = await opa.run(args, how)
  if (code === 0) return
  const said = `${stderr}${stdout}`.trim().replace(/^error: /, '') || `opa ${args[0]} ended with ${code}`
  throw new WritError('policy_invalid', `${dir} does not compile: ${said}`)
}

/** The module is prepared here, so that a host that compiles no bytes runs the very one that all others do. */
const prepared = (file: TarFile): TarFile =>
  file.name === moduleFile ? { ...file, bytes: prepareModule(file.bytes) } : file

/** The manifest says what the policy reads of its input, as only the compiler can tell. */
function withReads(files: readonly TarFile[], plan: readonly TarFile[]): readonly TarFile[] {
  const planned = plan.find(({ name }) => name === 'plan.json')
  const reads = readsOfPlan((planned && parseJson(fromUtf8(planned.bytes))) ?? null)
  return files.map((file) =>
    file.name === '.manifest' ? { name: file.name, bytes: utf8(`${manifestWith(file, reads)}\n`) } : file,
  )
}

/** Beside what the author wrote there, whose numbers keep their digits. */
function manifestWith({ bytes }: TarFile, reads: Reads): string {
  const manifest = parseJsonValue(fromUtf8(bytes))
  const metadata = memberOf(manifest, 'metadata')
  const writ = withMember(memberOf(metadata, 'writ'), 'reads', fromJson(writeReads(reads)))
  return formatJson(withMember(manifest, 'metadata', withMember(metadata, 'writ', writ)))
}

const memberOf = (value: Value | undefined, name: string): Value | undefined =>
  value instanceof RegoObject ? value.get(name) : undefined

function withMember(value: Value | undefined, name: string, member: Value): Value {
  const others = value instanceof RegoObject ? value.entries.filter(([key]) => key !== name) : []
  return objectOf([...others, [name, member]])
}
