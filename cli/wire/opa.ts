/** What only the Rego compiler can tell of a policy: what it reads, and which of its lines were tried. */

import type { Leavable } from '../../audit/replay/reads.ts'
import { readsOf } from '../../audit/replay/reads.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import type { Opa, OpaRun } from '../../engine/node/opa.ts'
import { bundleFile } from '../../engine/node/open.ts'

/** Sources as `writ policy build` compiles them. */
export const sourceFlags: readonly string[] = ['-b', '.', '--ignore', '*_test.rego', '--ignore', bundleFile]

/** What the sources in a folder read of a request, or undefined where OPA cannot say. */
export async function readsOfSources(opa: Opa, folder: string, entrypoint: string): Promise<Leavable | undefined> {
  const answer = await runOpa(opa, ['deps', ...sourceFlags, '-f', 'json', refOf(entrypoint)], { cwd: folder })
  const base = isObject(answer) ? answer['base'] : undefined
  if (base === undefined) return isObject(answer) ? readsOf([]) : undefined // It reads nothing at all.
  if (!Array.isArray(base)) return undefined
  const paths = (base as readonly Json[]).map(inputPath)
  return paths.includes(undefined) ? undefined : readsOf(paths.filter((path) => typeof path === 'object'))
}

/** Steps below `input` up to the first that is not fixed; `elsewhere` for what is not of the input. */
function inputPath(ref: Json): readonly string[] | 'elsewhere' | undefined {
  if (!Array.isArray(ref)) return undefined
  const [root, ...terms] = ref as readonly Json[]
  if (!isObject(root)) return undefined
  if (root['value'] !== 'input') return root['value'] === 'data' ? 'elsewhere' : undefined
  const steps: string[] = []
  for (const term of terms) {
    const value = isObject(term) && term['type'] === 'string' ? term['value'] : undefined
    if (typeof value !== 'string') break
    steps.push(value)
  }
  return steps
}

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
