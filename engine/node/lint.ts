/** Lints a policy folder: asks OPA for its syntax trees and its own complaints, and hands them to engine/lint/lint.ts. */

import { WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import { parseJson } from '../../core/json.ts'
import type { Finding } from '../lint/finding.ts'
import { lint, ofCompiler, readBuiltins } from '../lint/lint.ts'
import { type Module, readModule } from '../lint/module.ts'
import type { TarFile } from '../tar.ts'
import { checkPolicy } from './check.ts'
import { librarySources } from './library.ts'
import type { Opa } from './opa.ts'
import { readPolicyFiles, staged } from './policy-files.ts'

export interface LintOptions {
  readonly opa: Opa
  /** JSON Schema of `input`. */
  readonly input: Json
  readonly schemas?: string
  readonly entrypoints?: readonly string[]
}

/** Of files that do not parse only that is said. */
export async function lintFolder(dir: string, options: LintOptions): Promise<readonly Finding[]> {
  const { opa, input, schemas, entrypoints = [] } = options
  const problems = await checkPolicy(dir, { opa, input, ...(schemas === undefined ? {} : { schemas }) })
  if (problems.some(({ code }) => code === 'rego_parse_error')) return problems.flatMap(ofCompiler)
  const files = await readPolicyFiles(dir)
  // What the library says is part of what the policy means; what could be said of the library is not.
  const added = await librarySources(files)
  const { modules, builtins } = await staged([...files, ...added], async (cwd) => ({
    modules: await modulesOf(opa, cwd, [...files, ...added]),
    builtins: readBuiltins(await asked(opa, cwd, ['capabilities', '--current'])),
  }))
  const others = new Set(added.map(({ name }) => name))
  return lint({ modules, files, problems, builtins, entrypoints }).filter(({ place }) => !others.has(place?.file ?? ''))
}

async function modulesOf(opa: Opa, cwd: string, files: readonly TarFile[]): Promise<readonly Module[]> {
  const modules: Module[] = []
  for (const { name } of files.filter((file) => file.name.endsWith('.rego'))) {
    const args = ['parse', '--format', 'json', '--json-include', 'locations,comments', name]
    modules.push(readModule(name, await asked(opa, cwd, args)))
  }
  return modules
}

async function asked(opa: Opa, cwd: string, args: readonly string[]): Promise<Json> {
  const { code, stdout, stderr } = await opa.run(args, { cwd })
  const value = parseJson(stdout)
  if (code === 0 && value !== undefined) return value
  throw new WritError('policy_invalid', `opa ${args[0]}: ${(stderr || stdout).trim().slice(0, 2048)}`)
}
