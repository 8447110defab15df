import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'
import { computedName, importsOf } from './imports.ts'

/** core is words, parts do one job each, shells connect them. The path says who may import whom. */

const parts = ['engine', 'proxy', 'ca', 'audit']
const shells = ['cli', 'control', 'console']
const machineOnly = ['kafkajs', 'node-forge', 'pg', '@electric-sql/pglite', '@hono/node-server']

const files = [...parts, ...shells, 'core'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name)),
)

const imports = new Map(
  files.map((file) => [
    file,
    importsOf(readFileSync(file, 'utf8')).map(({ name, typeOnly }) => ({
      name: name.startsWith('.') ? normalize(join(dirname(file), name)) : name,
      local: name.startsWith('.'),
      typeOnly,
    })),
  ]),
)

/** proxy/edge is a shell: it wires parts for runtimes that are not ours. */
const folderOf = (file: string) => (file.startsWith('proxy/edge/') ? 'proxy/edge' : file.split('/')[0]!)
const inNode = (file: string) => file.includes('/node/')

function wrong(file: string, name: string, local: boolean): string | undefined {
  const from = folderOf(file)
  if (!local) {
    if (inNode(file) || from === 'cli') return undefined
    if (name === computedName) return `${file} imports a name that it computes: only files under /node/ may`
    if (isBuiltin(name)) return `${file} says ${name}, which only files under /node/ may`
    if (machineOnly.some((library) => name === library || name.startsWith(`${library}/`))) {
      return `${file} uses ${name}, which only files under /node/ may`
    }
    if (from === 'core') return `${file} imports ${name}: core imports nothing`
    return undefined
  }
  const to = folderOf(name)
  if (from === 'core' && to !== 'core') return `${file} imports ${name}: core imports nothing`
  if (parts.includes(from) && to !== from && to !== 'core') return `${file} imports ${name}: parts import only core`
  if (from === 'console' && to !== 'console' && to !== 'core')
    return `${file} imports ${name}: console imports core types`
  if (inNode(name) && !inNode(file) && from !== 'cli')
    return `${file} imports ${name}: nothing portable leans on /node/`
  if (from !== 'cli' && to === 'cli') return `${file} imports ${name}: shells do not import the command line`
  return undefined
}

test('every import points the way the house is built', () => {
  const faults = [...imports].flatMap(([file, list]) =>
    list.flatMap(({ name, local }) => wrong(file, name, local) ?? []),
  )
  expect(faults).toEqual([])
  expect(files.length).toBeGreaterThan(15)
})

test('no file reaches itself by its imports', () => {
  const done = new Set<string>()
  const cycles: string[] = []
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file)
    if (at >= 0) cycles.push([...path.slice(at), file].join(' -> '))
    if (at >= 0 || done.has(file)) return
    for (const { name, local } of imports.get(file) ?? []) if (local) walk(name, [...path, file])
    done.add(file)
  }
  for (const file of files) walk(file, [])
  expect(cycles).toEqual([])
})

test("a sidecar's process loads neither a store nor the control plane", () => {
  const reached = new Set<string>()
  const walk = (file: string): void => {
    if (reached.has(file)) return
    reached.add(file)
    for (const { name, typeOnly } of imports.get(file) ?? []) if (!typeOnly) walk(name)
  }
  walk('cli/proxy.ts')
  expect(reached).toContain('cli/wire/sidecar.ts')
  const heavy =
    /^(drizzle-orm|pg|@electric-sql|audit\/store\/|console\/|cli\/wire\/control-plane|control\/mesh\/compile)/
  expect([...reached].filter((file) => heavy.test(file))).toEqual([])
})

test('the rules tell right from wrong', () => {
  expect(wrong('engine/decide.ts', 'proxy/serve.ts', true)).toContain('parts import only core')
  expect(wrong('proxy/flow/route.ts', 'node:net', false)).toContain('only files under /node/')
  expect(wrong('proxy/flow/route.ts', 'proxy/node/pool.ts', true)).toContain('nothing portable')
  expect(wrong('core/bytes.ts', 'jose', false)).toContain('core imports nothing')
  expect(wrong('audit/log/note.ts', 'node-forge', false)).toContain('only files under /node/')
  expect(wrong('control/mesh.ts', 'fs', false)).toContain('only files under /node/')
  expect(wrong('ca/issue.ts', computedName, false)).toContain('computes')
  expect(wrong('proxy/flow/route.ts', 'proxy/edge/guard.ts', true)).toContain('parts import only core')
  expect(wrong('proxy/edge/guard.ts', 'cli/wire.ts', true)).toContain('command line')
  expect(wrong('proxy/edge/guard.ts', 'engine/decide.ts', true)).toBeUndefined()
  expect(wrong('control/node/api.ts', 'audit/node/store.ts', true)).toBeUndefined()
  expect(wrong('cli/wire.ts', 'audit/node/store.ts', true)).toBeUndefined()
})

test('an import is seen however it is written', () => {
  const text = `
    import{a}from'tight'; import 'after-semicolon'
    import type { T } from "type-only"
    import {
      type U,
      b } from 'many-lines'
    import equals = require('equals')
    export * from 'export-all'
    export type { V } from 'export-type'
    export const c = Array.from('not this')
    type W = import('import-type').W
    const d = await import(/* comment */ 'dynamic'), e = await import(\`template\`), f = await import(name + '.ts')
    const g = require('required')
    // import 'comment'
    const h = "import x from 'text'"
  `
  expect(importsOf(text).map(({ name, typeOnly }) => (typeOnly ? `type ${name}` : name))).toEqual([
    ...['tight', 'after-semicolon', 'type type-only', 'many-lines', 'equals', 'export-all', 'type export-type'],
    ...['type import-type', 'dynamic', 'template', computedName, 'required'],
  ])
})
