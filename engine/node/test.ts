/** Runs the Rego tests of a policy folder with OPA, and reads what they cover. */

import { isObject, type Json, parseJson } from '../../core/json.ts'
import { type Coverage, readCoverage } from '../coverage.ts'
import { librarySources, withLibrary } from './library.ts'
import type { Opa, OpaRan } from './opa.ts'
import { bundleFile } from './open.ts'
import { readPolicyFiles } from './policy-files.ts'

export interface TestRun {
  readonly opa: Opa
  readonly verbose?: boolean
  /** Regular expression that a test's name has to match. */
  readonly only?: string
}

const args = ['test', '-b', '.', '--ignore', bundleFile]

/** As OPA prints it for people, or as JSON. Its code is 0 where all pass and 2 where one does not. */
export function runTests(dir: string, { opa, verbose, only }: TestRun, format: 'pretty' | 'json'): Promise<OpaRan> {
  const flags = [...(verbose ? ['-v'] : []), ...(only === undefined ? [] : ['-r', only])]
  return withLibrary(dir, (cwd) => opa.run([...args, '--format', format, ...flags], { cwd }))
}

/** What of the rules, without the tests themselves, the tests went through; undefined where one of them fails. */
export async function coverageOf(dir: string, { opa, only }: TestRun): Promise<Coverage | undefined> {
  const flags = only === undefined ? [] : ['-r', only]
  const { code, stdout } = await withLibrary(dir, (cwd) =>
    opa.run([...args, '--format', 'json', '--coverage', ...flags], { cwd }),
  )
  const report = code === 0 ? parseJson(stdout) : undefined
  if (!isObject(report as Json | undefined)) return undefined
  const added = new Set((await librarySources(await readPolicyFiles(dir))).map(({ name }) => name))
  return readCoverage(report!, (file) => !added.has(file))
}
