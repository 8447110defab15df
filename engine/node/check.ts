/** Compiles a policy folder in OPA's strict mode, against the JSON Schema of what its rules read. */

import { utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import { packageOf } from '../lint/package.ts'
import { type Problem, readProblems } from '../lint/problems.ts'
import type { TarFile } from '../tar.ts'
import { librarySources } from './library.ts'
import type { Opa } from './opa.ts'
import { readPolicyFiles, readSchemas, staged, under } from './policy-files.ts'

export interface CheckOptions {
  readonly opa: Opa
  /** JSON Schema of `input`. */
  readonly input: Json
  /** Folder of further schemas, which annotations name. Default none. */
  readonly schemas?: string
}

/** None where it compiles. Files are named as they lie in the folder. */
export async function checkPolicy(dir: string, { opa, input, schemas }: CheckOptions): Promise<readonly Problem[]> {
  const own = await readPolicyFiles(dir)
  const files = [...own, ...(await librarySources(own))]
  const schema = { name: 'schema/input.json', bytes: utf8(JSON.stringify(input)) }
  const given =
    schemas === undefined
      ? [schema]
      : [{ ...schema, name: 'schema/writ/input.json' }, ...under('schema', await readSchemas(schemas)), ...noting(own)]
  const path = schemas === undefined ? schema.name : 'schema'
  const { code, stdout, stderr } = await staged([...under('policy', files), ...given], (cwd) =>
    opa.run(['check', '--strict', '-b', '--max-errors', '1000', '-f', 'json', '-s', path, 'policy'], { cwd }),
  )
  if (code === 0) return []
  const problems = readProblems(stdout) ?? readProblems(stderr)
  if (problems && problems.length > 0) return problems.map(asInFolder)
  throw new WritError('policy_invalid', `${dir} cannot be checked: ${(stderr || stdout).trim().slice(0, 2048)}`)
}

const asInFolder = ({ place, message, ...rest }: Problem): Problem => ({
  ...rest,
  place: place && { ...place, file: place.file.replace(/^policy\//, '') },
  message: message.replaceAll('policy/', ''),
})

/**
 * OPA takes one file for the input of all rules, or a folder whose files annotations name. Where it is a folder, the
 * input's is named for each package and all below it; a narrower annotation of the author's own goes before.
 */
function noting(files: readonly TarFile[]): readonly TarFile[] {
  const roots = new Set(
    files.filter(({ name }) => name.endsWith('.rego')).flatMap((file) => packageOf(file.bytes) ?? []),
  )
  const note = '# METADATA\n# scope: subpackages\n# schemas:\n#   - input: schema.writ.input\n'
  return [...roots].map((root, i) => ({
    name: `policy/.writ-schema-${i}.rego`,
    bytes: utf8(`${note}package ${root}\n`),
  }))
}
