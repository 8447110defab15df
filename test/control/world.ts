/** What the tests of control/ share: the example mesh and the world it is compiled in. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Compiled, compileMesh, type World } from '../../control/mesh/compile.ts'
import type { Problem } from '../../control/mesh/problem.ts'
import type { PolicyRef } from '../../core/policy.ts'
import type { Sha256 } from '../../core/ports.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'

export const sha256: Sha256 = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())

export const bankBundle: PolicyRef = { bundle: 'bank', revision: 'r1', sha256: 'ab'.repeat(32) }
export const world: World = { bundles: [bankBundle], sha256 }

export const bankText: string = readFileSync(join(import.meta.dirname, 'fixtures/bank.yaml'), 'utf8')

export const compiled = (text: string): Compiled => compileMesh(text, world)

export function snapshotOf(text: string): MeshSnapshot {
  const result = compiled(text)
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 1))
  return result.snapshot
}

/** Problems of a text, warnings among them. */
export function problemsOf(text: string): readonly Problem[] {
  const result = compiled(text)
  return result.ok ? result.warnings : result.problems
}

/** The smallest mesh, with more documents behind it. */
export const meshWith = (...documents: readonly string[]): string =>
  [
    `apiVersion: writ.dev/v1\nkind: Mesh\nmetadata: {name: m}\nspec: {trustDomain: bank.example}\n`,
    ...documents.map((document) => `${document.trim()}\n`),
  ].join('---\n')

export const own = (kind: string, name: string, spec: string): string =>
  `apiVersion: writ.dev/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}`

export const route = (name: string, spec: string, more = ''): string =>
  `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: ${name}${more}}\nspec: ${spec}`

export const served = (name: string, port: number, more = ''): string =>
  own('Workload', name, `{inbound: {port: ${port}, app: {port: ${port + 1000}}}${more}}`)

export const bound = (...names: readonly string[]): string =>
  own(
    'PolicyBinding',
    `bind-${names[0]}`,
    `{targetRefs: [${names.map((it) => `{kind: Workload, name: ${it}}`).join(', ')}], bundle: bank, entrypoint: a/b}`,
  )
