/** `writ policy check`: does a policy compile, strictly, and does it read what there is? */

import { basename, join, resolve } from 'node:path'
import { Command } from 'commander'
import { policyInputSchema } from '../core/input-schema.ts'
import type { Problem } from '../engine/lint/problems.ts'
import { policyFoldersIn } from '../engine/node/build.ts'
import { checkPolicy } from '../engine/node/check.ts'
import { compilerHelp, openCompiler } from './policy/compiler.ts'
import { counted } from './policy/words.ts'

interface CheckFlags {
  readonly schema?: string
  readonly json?: boolean
}

export const checkCommand = (): Command =>
  new Command('check')
    .argument('[dir]', 'a policy, or a folder of policies', 'policies')
    .description("compile each policy in OPA's strict mode, against the schema of the input that proxies give")
    .option('--schema <dir>', 'folder of JSON Schemas of your own, which `schemas` annotations name')
    .option('--json', 'print the problems as JSON')
    .addHelpText(
      'after',
      `\nExits 1 where anything is wrong. \`writ schema PolicyInput\` prints the input's schema.${compilerHelp}`,
    )
    .action(check)

async function check(dir: string, { schema, json }: CheckFlags): Promise<void> {
  const opa = await openCompiler()
  const found: { readonly policy: string; readonly problems: readonly Problem[] }[] = []
  for (const folder of await policyFoldersIn(dir)) {
    const options = { opa, input: policyInputSchema, ...(schema === undefined ? {} : { schemas: schema }) }
    const problems = (await checkPolicy(folder, options)).map((problem) => inFolder(problem, folder))
    found.push({ policy: basename(resolve(folder)), problems })
    if (!json) process.stdout.write(textOf(basename(resolve(folder)), problems))
  }
  if (json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`)
  if (found.some(({ problems }) => problems.length > 0)) process.exitCode = 1
}

/** Named from where the command runs, as editors and CI open it. */
const inFolder = (problem: Problem, folder: string): Problem =>
  problem.place ? { ...problem, place: { ...problem.place, file: join(folder, problem.place.file) } } : problem

function textOf(policy: string, problems: readonly Problem[]): string {
  if (problems.length === 0) return `${policy}  compiles, and reads what there is\n`
  const lines = problems.flatMap(({ place, message, cure }) => [
    `${place ? `${place.file}:${place.row}:${place.column}` : policy}: ${message}`,
    ...(cure === undefined ? [] : [`  cure: ${cure}`]),
  ])
  return `${lines.join('\n')}\n${policy}  ${counted(problems.length, 'problem')}\n`
}
