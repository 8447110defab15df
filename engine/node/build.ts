/** Compiles a policy folder into its bundle, the same bytes on every run and machine, and runs its tests. */

import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { fromUtf8, utf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { canonicalJson, parseJson } from '../../core/json.ts'
import { type Reads, readsOfPlan, writeReads } from '../reads.ts'
import { readTar, type TarFile } from '../tar.ts'
import { formatJson, fromJson, objectOf, parseJsonValue, RegoObject, type Value } from '../value.ts'
import { type CompilerOptions, checkVersion, findCompiler } from './compiler.ts'
import { bundleFile } from './open.ts'
import { pack } from './pack.ts'

export interface BuildOptions {
  /** Rules to compile beside those that say `entrypoint: true` in their metadata. Default none. */
  readonly entrypoints?: readonly string[]
  /** Default: 16 hex digits of a hash of the sources. */
  readonly revision?: string
  readonly compiler?: CompilerOptions
}

const onStandardError: CompilerOptions['say'] = (line) => void process.stderr.write(`${line}\n`)

/** What is compiled: rules without their tests, data, and a manifest where the author narrowed the roots. */
const isSource = (name: string): boolean =>
  (name.endsWith('.rego') && !name.endsWith('_test.rego')) || /(^|\/)(data\.(json|yaml|yml)|\.manifest)$/.test(name)

/** Bytes of the bundle. Throws `policy_invalid` with what OPA says, `compiler_missing` where there is no OPA. */
export async function buildPolicy(dir: string, options: BuildOptions = {}): Promise<Uint8Array> {
  const compiler = options.compiler ?? { env: process.env, say: onStandardError }
  const sources = await readSources(dir)
  const entrypoints = options.entrypoints ?? []
  const revision = options.revision ?? revisionOf(sources, entrypoints)
  const opa = await findCompiler(compiler)
  await checkVersion(opa, compiler)

  const temporary = await mkdtemp(join(tmpdir(), 'writ-build-'))
  try {
    // What was hashed is what is compiled, under names that do not depend on where the folder lies.
    const root = join(temporary, 'policy')
    for (const { name, bytes } of sources) {
      await mkdir(dirname(join(root, name)), { recursive: true })
      await writeFile(join(root, name), bytes)
    }
    const rules = entrypoints.flatMap((entrypoint) => ['-e', entrypoint])
    const built = async (target: 'wasm' | 'plan'): Promise<readonly TarFile[]> => {
      const out = join(temporary, `${target}.tar.gz`)
      await run(opa, ['build', '-t', target, '-b', '.', '-r', revision, '-o', out, ...rules], root, dir)
      return readTar(gunzipSync(await readFile(out)), 10_000)
    }
    // OPA's own files, which are the same each time, in an archive without the marks of whoever made it.
    return pack(withReads(await built('wasm'), await built('plan')))
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

export interface TestOptions {
  /** Names each test. Default false. */
  readonly verbose?: boolean
  /** Gives OPA's JSON report back instead of printing to this process's own output. Default false. */
  readonly capture?: boolean
  readonly compiler?: CompilerOptions
}

/** Runs a policy folder's Rego tests; resolves with OPA's exit code, and with its report where that is captured. */
export async function testPolicy(
  dir: string,
  options: TestOptions = {},
): Promise<{ readonly code: number; readonly report: string }> {
  const opa = await findCompiler(options.compiler ?? { env: process.env, say: onStandardError })
  const flags = [...(options.verbose ? ['-v'] : []), ...(options.capture ? ['--format', 'json'] : [])]
  return new Promise((resolve, reject) => {
    const stdio: ['ignore', 'pipe' | 'inherit', 'inherit'] = ['ignore', options.capture ? 'pipe' : 'inherit', 'inherit']
    const child = spawn(opa, ['test', '-b', '.', '--ignore', bundleFile, ...flags], { cwd: dir, stdio })
    let report = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      report += text
    })
    child.once('error', (cause) => reject(new WritError('compiler_missing', `${opa} does not run`, { cause })))
    child.once('close', (code) => resolve({ code: code ?? 1, report }))
  })
}

/** `dir` itself where it holds Rego, else the folders in it that do, in order of name. */
export async function policyFoldersIn(dir: string): Promise<readonly string[]> {
  const entries = await list(dir)
  if (entries.some((entry) => entry.isFile() && entry.name.endsWith('.rego'))) return [dir]
  const folders: string[] = []
  for (const entry of entries.filter((one) => one.isDirectory())) {
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

/** Names and lengths go in with the bytes, so that no two sets of files read alike. */
function revisionOf(sources: readonly TarFile[], entrypoints: readonly string[]): string {
  const hash = createHash('sha256').update(canonicalJson([...entrypoints]))
  for (const { name, bytes } of sources) hash.update(`\n${canonicalJson([name, bytes.length])}\n`).update(bytes)
  return hash.digest('hex').slice(0, 16)
}

function run(opa: string, args: readonly string[], cwd: string, dir: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(opa, args, { cwd, timeout: 5 * 60_000, maxBuffer: 16 * 1024 ** 2 }, (cause, stdout, stderr) => {
      if (!cause) return resolve()
      const said = `${stderr}${stdout}`.trim().replace(/^error: /, '') || cause.message
      reject(new WritError('policy_invalid', `${dir} does not compile: ${said}`, { cause }))
    })
  })
}

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
