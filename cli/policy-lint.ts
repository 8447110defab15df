/** `writ policy lint`: what compiles and is still likely to be a mistake, with how to mend it. */

import { basename, join, resolve } from 'node:path'
import { Command } from 'commander'
import { policyInputSchema } from '../core/input-schema.ts'
import { type Finding, lintRules } from '../engine/lint/finding.ts'
import { policyFoldersIn } from '../engine/node/build.ts'
import { lintFolder } from '../engine/node/lint.ts'
import { repeated } from './options.ts'
import { compilerHelp, openCompiler } from './policy/compiler.ts'
import { counted } from './policy/words.ts'

interface LintFlags {
  readonly schema?: string
  readonly entrypoint: readonly string[]
  readonly json?: boolean
}

export const lintCommand = (): Command =>
  new Command('lint')
    .argument('[dir]', 'a policy, or a folder of policies', 'policies')
    .description(
      'find what compiles and is still likely to be a mistake: unused rules, grants to everybody, ways to fail open',
    )
    .option(
      '-e, --entrypoint <rule>',
      'a rule that is asked, beside those with `entrypoint: true`; may repeat',
      repeated,
      [],
    )
    .option('--schema <dir>', 'folder of JSON Schemas of your own, which `schemas` annotations name')
    .option('--json', 'print the findings as JSON')
    .addHelpText('after', `${help}${compilerHelp}`)
    .action(lint)

const help = `
Exits 1 where there is an error or a warning; notes are for whoever wants to know. To silence a rule, put
\`# writ: allow RULE\` on the line or right above it; for data.json, \`# writ: allow RULE in data.json\` into any Rego file.
The rules are ${Object.keys(lintRules).join(', ')}.
`

async function lint(dir: string, { schema, entrypoint, json }: LintFlags): Promise<void> {
  const opa = await openCompiler()
  const reports: { readonly policy: string; readonly findings: readonly Finding[] }[] = []
  for (const folder of await policyFoldersIn(dir)) {
    const options = { opa, input: policyInputSchema, entrypoints: entrypoint }
    const found = await lintFolder(folder, { ...options, ...(schema === undefined ? {} : { schemas: schema }) })
    const findings = found.map((one) => ({ ...one, place: { ...one.place, file: join(folder, one.place.file) } }))
    const policy = basename(resolve(folder))
    reports.push({ policy, findings })
    if (!json) process.stdout.write(`${[...findings.map(textOf), summaryOf(policy, findings)].join('\n')}\n`)
  }
  if (json) process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`)
  if (reports.some(({ findings }) => findings.some(({ level }) => level !== 'note'))) process.exitCode = 1
}

const textOf = ({ rule, level, place, message, cure }: Finding): string =>
  `${place.file}:${place.row}:${place.column}: ${level} ${rule}: ${message}\n  cure: ${cure}`

function summaryOf(policy: string, findings: readonly Finding[]): string {
  const counts = (['error', 'warning', 'note'] as const).flatMap((level) => {
    const count = findings.filter((one) => one.level === level).length
    return count > 0 ? [counted(count, level)] : []
  })
  return `${policy}  ${counts.join(', ') || 'nothing found'}`
}
