/**
 * Runs once before all tests: finds or fetches the real parts that the test files of this run name by `needs('...')`.
 * In CI each must be there. Elsewhere the tests of a missing one are left out, and a line says which and why.
 */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { templateVariable } from '../audit/node/template.ts'
import { buildCommand } from '../deploy/build.ts'
import { commandVariable } from './parts/command.ts'
import { type PartName, parts } from './parts/index.ts'
import type { PreparedParts } from './parts/needs.ts'

export default async function setup(project: TestProject): Promise<void> {
  process.env[templateVariable] = await storeTemplate()
  process.env[commandVariable] = await bundledCommand()
  const wanted = await partsNamedBy(project.vitest.state.getPaths())
  const prepared: { -readonly [name in PartName]?: PreparedParts[name] } = {}
  await Promise.all(
    [...wanted.keys()].map(async (name) => {
      prepared[name] = await prepare(name)
    }),
  )
  project.provide('parts', prepared)
  if (prepared.opa && 'path' in prepared.opa) process.env['WRIT_OPA'] = prepared.opa.path

  const missing = [...wanted].flatMap(([name, files]) => {
    const part = prepared[name]
    return part && 'missing' in part ? [missingText(name, part.missing, files)] : []
  })
  if (process.env['CI'] && missing.length > 0) throw new Error(`In CI no part may be missing.\n${missing.join('\n')}`)
  for (const line of missing) say(line)
}

const root = join(import.meta.dirname, '..')

/** Made once for these tables and this PGlite; a store that a test opens takes a quarter of the core time from then on. */
async function storeTemplate(): Promise<string> {
  const tables = (await readdir(join(root, 'audit/store'))).map((name) => `audit/store/${name}`)
  const sources = ['node_modules/@electric-sql/pglite/package.json', ...tables.sort()]
  return madeOf(sources, 'store', '.tar', async (path) => {
    await promisify(execFile)(process.execPath, [join(import.meta.dirname, 'template.ts'), path])
  })
}

/** The command's bundle, made once for the sources as they are. */
async function bundledCommand(): Promise<string> {
  const sources = ['package-lock.json']
  for (const folder of ['audit', 'ca', 'cli', 'console', 'control', 'core', 'deploy', 'engine', 'proxy']) {
    const names = await readdir(join(root, folder), { recursive: true })
    sources.push(...names.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`))
  }
  return join(await madeOf(sources.sort(), 'command', '', buildCommand), 'main.js')
}

/** Path in the cache of what `make` made of these sources, which is named by their digest. Those of others are removed. */
async function madeOf(
  sources: readonly string[],
  name: string,
  ending: string,
  make: (path: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256')
  for (const source of sources) hash.update(`${source}\n`).update(await readFile(join(root, source)))
  const cache = join(root, '.cache')
  const path = join(cache, `${name}-${hash.digest('hex').slice(0, 16)}${ending}`)
  if (existsSync(path)) return path
  await mkdir(cache, { recursive: true })
  const older = (await readdir(cache)).filter((one) => one.startsWith(`${name}-`))
  for (const one of older) await rm(join(cache, one), { recursive: true })
  const half = `${path}.${process.pid}`
  await make(half)
  await rename(half, path)
  return path
}

async function prepare(name: PartName): Promise<{ readonly path: string } | { readonly missing: string }> {
  const fromMs = Date.now()
  let told = false
  try {
    const path = await parts[name].prepare((line) => {
      told = true
      say(line)
    })
    if (told) say(`${name} is ready after ${Math.round((Date.now() - fromMs) / 1000)} s`)
    return { path }
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) }
  }
}

/** Each part that is named, with the files that name it. */
async function partsNamedBy(paths: readonly string[]): Promise<ReadonlyMap<PartName, readonly string[]>> {
  const wanted = new Map<PartName, string[]>()
  for (const path of paths) {
    const text = await readFile(path, 'utf8')
    const names = [...text.matchAll(/\bneeds\(([^)]*)\)/g)].flatMap((call) => [...call[1]!.matchAll(/'(\w+)'/g)])
    for (const name of new Set(names.map((match) => match[1]!))) {
      if (!Object.hasOwn(parts, name))
        throw new Error(`${path} needs '${name}', which is no part in test/parts/index.ts`)
      wanted.set(name as PartName, [...(wanted.get(name as PartName) ?? []), relative('.', path)])
    }
  }
  return wanted
}

const missingText = (name: PartName, why: string, files: readonly string[]): string =>
  `${name} is not here: ${why}\n  left out: ${files.join(', ')}; everything else runs\n  to have it: ${parts[name].install}`

const say = (line: string): void => {
  process.stderr.write(`parts: ${line}\n`)
}
