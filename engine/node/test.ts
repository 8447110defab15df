/** Runs the Rego tests of a policy folder with OPA, and reads what they cover. */

import { isObject, type Json, parseJson } from '../../core/json.ts'
import { type Coverage, readCoverage } from '../coverage.ts'
import type { Opa, OpaRan } from './opa.ts'
import { bundleFile } from './open.ts'

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
  return opa.run([...args, '--format', format, ...flags], { cwd: dir })
}

/** What of the rules, without the tests themselves, the tests went through; undefined where one of them fails. */
export async function coverageOf(dir: string, { opa, only }: TestRun): Promise<Coverage | undefined> {
  const flags = only === undefined ? [] : ['-r', only]
  const { code, stdout } = await opa.run([...args, '--format', 'json', '--coverage', ...flags], { cwd: dir })
  const report = code === 0 ? parseJson(stdout) : undefined
  return isObject(report as Json | undefined) ? readCoverage(report!) : undefined
}
