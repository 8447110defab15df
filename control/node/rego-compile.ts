/** Compiles Rego that comes over HTTP into a bundle: in a folder of its own, bounded, and without running any of it. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { utf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import { type BundleContent, readBundle } from '../../engine/bundle.ts'
import { buildPolicy } from '../../engine/node/build.ts'
import { librarySources, writeSources } from '../../engine/node/library.ts'
import type { Opa } from '../../engine/node/opa.ts'
import { RegoError } from './rego-error.ts'

export interface CompileLimits {
  /** Compilations at a time; further ones are refused. Default 2. */
  readonly concurrent?: number
  /** Time that one may take, in milliseconds. Default 30 000. */
  readonly timeoutMs?: number
}

/** Body in bytes, modules and entry points. */
export const maxCompileBytes: number = 1024 ** 2
const maxModules = 64
const maxEntrypoints = 64

/** Each step begins with a letter or digit, so that no name leads out of its folder, nor hides in it. */
const moduleName = /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*\/){0,8}[A-Za-z0-9_][A-Za-z0-9_.-]*\.rego$/
const entrypointName = /^[A-Za-z_][A-Za-z0-9_]*(?:\/[A-Za-z_][A-Za-z0-9_]*){1,16}$/

const wanted = z.strictObject({
  modules: z.record(z.string().max(200).regex(moduleName, 'is no name of a module, such as authz.rego'), z.string()),
  entrypoints: z
    .array(z.string().max(200).regex(entrypointName, 'is no path of a rule, such as writ/authz/result'))
    .max(maxEntrypoints)
    .default([]),
  data: z.record(z.string(), z.unknown()).default({}),
})

export interface Compiled extends Pick<BundleContent, 'ref' | 'entrypoints'> {
  readonly bytes: Uint8Array
}

export type Compile = (body: string) => Promise<Compiled>

/** Throws `RegoError`, with each error's place where the Rego is wrong. */
export function makeCompile(opa: Opa, limits: CompileLimits = {}): Compile {
  const { concurrent = 2, timeoutMs = 30_000 } = limits
  let running = 0
  let capabilities: string | undefined
  return async (body) => {
    const { modules, entrypoints, data } = readWanted(body)
    if (running >= concurrent)
      throw new RegoError(503, 'unavailable', `${concurrent} policies are being compiled already`)
    running++
    const folder = await mkdtemp(join(tmpdir(), 'writ-compile-'))
    try {
      const sources = Object.entries(modules).map(([name, text]) => ({ name, bytes: utf8(text) }))
      const policy = join(folder, 'policy')
      await mkdir(policy)
      await writeSources(policy, sources)
      await writeFile(join(policy, 'data.json'), JSON.stringify(data))
      await writeSources(join(folder, 'check'), [...sources, ...(await librarySources(sources))])
      capabilities ??= await withoutNetwork(opa)
      await writeFile(join(folder, 'capabilities.json'), capabilities)
      await check(opa, folder, timeoutMs)
      const bytes = await buildPolicy(policy, { entrypoints, timeoutMs })
      const { ref, entrypoints: compiled } = await readBundle(bytes, 'policy')
      return { bytes, ref, entrypoints: compiled }
    } catch (thrown) {
      if (thrown instanceof WritError && thrown.code === 'policy_invalid') {
        throw invalid(messageOf(thrown).replaceAll(`${join(folder, 'policy')} `, 'the policy '))
      }
      throw thrown
    } finally {
      running--
      await rm(folder, { recursive: true, force: true })
    }
  }
}

function readWanted(body: string): z.output<typeof wanted> {
  const value = parseJson(body)
  if (value === undefined) throw new RegoError(400, 'invalid_parameter', 'the body is not JSON')
  const read = wanted.safeParse(value)
  if (!read.success) {
    const [issue] = read.error.issues
    const at = issue?.path.map(String).join('.')
    throw new RegoError(400, 'invalid_parameter', `the body${at ? ` at ${at}` : ''}: ${issue?.message ?? 'is wrong'}`)
  }
  const names = Object.keys(read.data.modules)
  if (names.length === 0 || names.length > maxModules) {
    throw new RegoError(400, 'invalid_parameter', `the body takes 1 to ${maxModules} modules`)
  }
  // A file cannot be a folder too.
  const folders = new Set(names.flatMap(foldersOf))
  const both = names.find((name) => folders.has(name))
  if (both !== undefined) throw new RegoError(400, 'invalid_parameter', `${both} is a module and a folder of modules`)
  return read.data
}

const foldersOf = (name: string): readonly string[] =>
  dirname(name) === '.' ? [] : [dirname(name), ...foldersOf(dirname(name))]

/** The checker would fetch schemas that annotations name: here it may fetch from nowhere. */
async function withoutNetwork(opa: Opa): Promise<string> {
  const { stdout } = await opa.run(['capabilities', '--current'], { cwd: tmpdir() })
  const all = parseJson(stdout)
  if (!isObject(all)) throw new WritError('internal', 'opa does not say what it is capable of')
  return JSON.stringify({ ...all, allow_net: [] })
}

async function check(opa: Opa, cwd: string, timeoutMs: number): Promise<void> {
  const args = ['check', '-f', 'json', '--capabilities', 'capabilities.json', '-b', 'check']
  const { code, stdout, stderr } = await opa.run(args, { cwd, timeoutMs })
  if (code === 0) return
  // OPA prints errors of parsing to one side and those of types to the other.
  const report = parseJson(stderr) ?? parseJson(stdout)
  const errors = isObject(report) ? report['errors'] : undefined
  if (!Array.isArray(errors)) throw invalid((stderr || stdout).trim().slice(0, 2048))
  const list = (errors as readonly Json[]).map(located)
  throw new RegoError(400, 'invalid_parameter', 'error(s) occurred while compiling module(s)', list)
}

/** With names as they came. */
function located(error: Json): Json {
  const { code, message, location } = isObject(error) ? error : {}
  const { file, row, col } = isObject(location) ? location : {}
  const name = typeof file === 'string' ? file.replace(/^\/?check\//, '') : undefined
  return { code, message, location: { file: name, row, col } }
}

const invalid = (message: string): RegoError =>
  new RegoError(400, 'invalid_parameter', 'error(s) occurred while compiling module(s)', [
    { code: 'rego_compile_error', message },
  ])
