/** A mesh file, read and compiled. */

import { readFile } from 'node:fs/promises'
import { type Compiled, compileMesh } from '../../control/mesh/compile.ts'
import type { MeshSettings } from '../../control/mesh/settings.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { PolicyBundle } from '../../core/policy.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import { sha256 } from './machine.ts'
import type { ServedData } from './policy-data.ts'
import type { OnEvent } from './telemetry.ts'
import { keyFilesOf } from './tokens.ts'

/** A mesh file, compiled against the bundles it may bind. */
export interface Config {
  readonly snapshot: MeshSnapshot
  readonly settings: MeshSettings
  readonly bundles: readonly PolicyBundle[]
  /** Data that policies read beside them. */
  readonly data: readonly ServedData[]
}

/** Throws `config_invalid` with every problem of the file, each with its line. */
export function compileConfig(
  mesh: string,
  meshFile: string,
  bundles: readonly PolicyBundle[],
  logKey: string,
  onEvent: OnEvent,
  data: readonly ServedData[],
): Config {
  const readKeyFile = keyFilesOf(meshFile)
  const compiled = compileMesh(mesh, { bundles: bundles.map(({ ref }) => ref), sha256, logKey, data, readKeyFile })
  if (!compiled.ok) throw invalidMesh(compiled, meshFile)
  for (const warning of compiled.warnings) {
    onEvent({ level: 'warn', from: meshFile, text: `line ${warning.line}: ${warning.document} ${warning.problem}` })
  }
  return { snapshot: compiled.snapshot, settings: compiled.settings, bundles, data }
}

/** The same for a process that needs the mesh's settings and serves no policies: bindings are not looked into. */
export function compileMeshOnly(
  mesh: string,
  meshFile: string,
  bundles: readonly PolicyBundle[] = [],
): Pick<Config, 'snapshot' | 'settings'> {
  const compiled = compileMesh(mesh, { bundles: 'any', sha256 })
  if (compiled.ok) return compiled
  // What is wrong is told once and whole, also the bindings, where the caller has bundles to hold them against.
  const whole =
    bundles.length > 0
      ? compileMesh(mesh, { bundles: bundles.map(({ ref }) => ref), sha256, readKeyFile: keyFilesOf(meshFile) })
      : compiled
  throw invalidMesh(whole.ok ? compiled : whole, meshFile)
}

export const readMesh = async (file: string): Promise<string> =>
  readFile(file, 'utf8').catch((thrown: unknown) => {
    throw new WritError('not_found', `${file} cannot be read: ${messageOf(thrown)}`, {
      cure: 'give the mesh file with -f',
    })
  })

function invalidMesh({ problems }: Extract<Compiled, { ok: false }>, meshFile: string): WritError {
  const lines = problems.map(
    ({ line, column, document, field, problem, cure }) =>
      `${meshFile}:${line}:${column} ${document}${field ? ` ${field}` : ''}: ${problem}${cure ? ` (${cure})` : ''}`,
  )
  return new WritError('config_invalid', lines.join('\n  '), { cure: `mend it and run: writ check -f ${meshFile}` })
}
