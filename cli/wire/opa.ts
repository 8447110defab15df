/** What only OPA can tell of a policy: which of its lines were tried. */

import { WritError } from '../../core/fault.ts'
import { type Json, parseJson } from '../../core/json.ts'
import type { Opa, OpaRun } from '../../engine/node/opa.ts'
import { bundleFile } from '../../engine/node/open.ts'

/** Sources as `writ policy build` compiles them. */
export const sourceFlags: readonly string[] = ['-b', '.', '--ignore', '*_test.rego', '--ignore', bundleFile]

/** `writ/authz/result` as Rego refers to it. Brackets hold what is no plain name. */
export const refOf = (entrypoint: string): string =>
  `data${entrypoint
    .split('/')
    .map((step) => `[${JSON.stringify(step)}]`)
    .join('')}`

const timeoutMs = 30_000

/** The JSON that `opa` prints. Throws `policy_invalid` with what it says where it fails. */
export async function runOpa(opa: Opa, args: readonly string[], how: OpaRun): Promise<Json> {
  const { code, stdout, stderr } = await opa.run(args, { timeoutMs, ...how })
  const value = parseJson(stdout)
  if (code === 0 && value !== undefined) return value
  const said = (stderr || stdout).trim().slice(0, 2048) || `it ended with ${code}`
  throw new WritError('policy_invalid', `opa ${args[0]}: ${said}`)
}
