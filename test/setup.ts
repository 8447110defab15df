/**
 * Runs once before all tests: finds or fetches the real parts that the test files of this run name by `needs('...')`.
 * In CI each must be there. Elsewhere the tests of a missing one are left out, and a line says which and why.
 */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { templateVariable } from '../audit/node/template.ts'
import { prepareCommand } from './parts/command.ts'
import { type PartName, parts } from './parts/index.ts'
import type { PreparedParts } from './parts/needs.ts'

export default async function setup(project: TestProject): Promise<void> {
  process.env[templateVariable] = await storeTemplate()
  await prepareCommand()
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

/** Made once for these tables and this PGlite; a store that a test opens takes a quarter of the core time from then on. */
async function storeTemplate(): Promise<string> {
  const root = join(import.meta.dirname, '..')
  const tables = join(root, 'audit/store')
  const hash = createHash('sha256').update(await readFile(join(root, 'node_modules/@electric-sql/pglite/package.json')))
  for (const name of (await readdir(tables)).sort()) hash.update(name).update(await readFile(join(tables, name)))
  const folder = join(root, '.cache')
  const path = join(folder, `store-${hash.digest('hex').slice(0, 16)}.tar`)
  if (!existsSync(path)) {
    await mkdir(folder, { recursive: true })
    for (const name of await readdir(folder)) if (/^store-.*\.tar/.test(name)) await rm(join(folder, name)) // Of older tables.
    await promisify(execFile)(process.execPath, [join(import.meta.dirname, 'template.ts'), path])
  }
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
