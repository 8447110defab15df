/** `writ policy fmt`: Rego in the one form that OPA gives it. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { WritError } from '../core/fault.ts'
import { policyFoldersIn } from '../engine/node/build.ts'
import { compilerHelp, openCompiler } from './policy/compiler.ts'

export const fmtCommand = (): Command =>
  new Command('fmt')
    .argument('[dir]', 'a policy, or a folder of policies', 'policies')
    .description('rewrite Rego files in the one form that OPA gives them, and name those that changed')
    .option('--check', 'write nothing; show what would change, and exit 1 where anything would')
    .option('--json', 'print the names of the files as JSON')
    .addHelpText('after', compilerHelp)
    .action(fmt)

interface Formatted {
  readonly file: string
  readonly change: string
}

async function fmt(dir: string, { check, json }: { readonly check?: boolean; readonly json?: boolean }): Promise<void> {
  const opa = await openCompiler()
  const ask = async (cwd: string, ...words: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await opa.run(['fmt', ...words], { cwd })
    if (code === 0) return stdout
    throw new WritError('policy_invalid', `${cwd}: ${(stderr || stdout).trim().slice(0, 2048)}`, {
      cure: 'mend what does not parse; writ policy check names it',
    })
  }
  const found: Formatted[] = []
  for (const folder of await policyFoldersIn(dir)) {
    const names = (await ask(folder, '--list', '.')).split('\n').filter((name) => name !== '')
    for (const name of names) {
      const file = join(folder, name)
      found.push({ file, change: check ? changeOf(await readFile(file, 'utf8'), await ask(folder, name)) : '' })
    }
    if (!check && names.length > 0) await ask(folder, '--write', '.')
  }
  const files = found.map(({ file }) => file)
  if (json) process.stdout.write(`${JSON.stringify({ files, written: check !== true }, null, 2)}\n`)
  else process.stdout.write(found.map(({ file, change }) => `${file}\n${change}`).join(''))
  if (!json && files.length === 0) process.stdout.write('all files have the form already\n')
  if (check && files.length > 0) process.exitCode = 1
}

const maxLines = 20

/** The lines from the first that would change to the last, as they are and as they would be. */
function changeOf(is: string, would: string): string {
  const [before, after] = [is.split('\n'), would.split('\n')]
  const shorter = Math.min(before.length, after.length)
  let start = 0
  while (start < shorter && before[start] === after[start]) start++
  let end = 0
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end++
  const shown = (lines: readonly string[], sign: string): readonly string[] => {
    const changed = lines.slice(start, lines.length - end)
    const cut = changed.length > maxLines ? [`  and ${changed.length - maxLines} more`] : []
    return [...changed.slice(0, maxLines).map((line) => `${sign} ${line}`), ...cut]
  }
  return `${[`  from line ${start + 1}:`, ...shown(before, '-'), ...shown(after, '+')].join('\n')}\n`
}
